"""To which machine NNI's remote service gives the next trial, and how often it asks the machines (remote.js)."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from common.machine import PROJECT

SCRIPT = """
const { patch } = require(process.argv[1]);
const machines = ['a', 'b'].map(host => ({ config: { user: 'me', host, port: 22 } }));
class Service {
  trialJobsMap = new Map();
  gpuScheduler = {};
  machineExecutorManagerMap = new Map(machines.map(rmMeta => [rmMeta.config, { rmMeta }]));
  asked = 0;
  async prepareTrialJob(id) {
    const rmMeta = this.gpuScheduler.selectMachine(machines);
    this.trialJobsMap.set(id, { status: 'RUNNING', rmMeta });
    return rmMeta.config.host;
  }
  async getTrialJob(id) { this.asked += 1; return this.trialJobsMap.get(id); }
}
patch(Service);
(async () => {
  const service = new Service(), given = [];
  for (const id of [1, 2, 3, 4]) given.push(await service.prepareTrialJob(id));
  service.trialJobsMap.get(2).status = 'SUCCEEDED';
  given.push(await service.prepareTrialJob(5));
  for (let n = 0; n < 5; n += 1) await service.getTrialJob(1);
  console.log(JSON.stringify({ given, asked: service.asked }));
})();
"""


def test_each_machine_gets_as_many_trials_as_it_takes():
    found = importlib.util.find_spec("nni_node")
    if found is None:
        pytest.skip("NNI is not installed here")
    node = Path(next(iter(found.submodule_search_locations)), "node")
    limits = {"me@a:22": 1, "me@b:22": 2}
    command = [node, "-e", SCRIPT, str(PROJECT / "nni_setup" / "remote.js")]
    environ = {**os.environ, "NODE_OPTIONS": "", "FACE_MASK_MACHINES": json.dumps(limits)}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(ran.stdout)
    assert answer["given"] == ["a", "b", "b", False, "b"], "a is full until its trial ends"
    assert answer["asked"] == 1

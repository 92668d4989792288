#!/usr/bin/env bash
# NNI 2.10.1: two `nnictl create` of the same second on one port both succeed, and one manager runs both experiments.
# Guessed: the second one fails, as nnictl checks that the port is idle and that its manager answers.
# Seen: both checks pass, since the port is taken a moment later, and nnictl takes the answer of any manager on the
# port for that of its own, which has died. It hands its experiment to the other one, which begins it, too, under
# the other's id: two dispatchers, two loops that start trials, a concurrency of 1 that is 2, and trials whose
# command runs twice in one folder.
# Way round: ask whether one's own process listens before the experiment is handed over.
# The manager is kept on 127.0.0.1 here; plain NNI listens on every address.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nni==2.10.1 "setuptools<81" psutil==7.2.2
cd "$folder"
cat >loopback.js <<'JS'
const net = require('net'), listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, ...(typeof port === 'number' ? ['127.0.0.1'] : []), ...rest);
};
JS
PATH="$folder/venv/bin:$PATH" "$folder/venv/bin/python" -W ignore - <<'PY'
import os
import re
import socket
import subprocess
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import psutil

TRIAL = """
import os, nni
value = nni.get_next_parameter()["x"]
open("runs.txt", "a").write(os.environ["NNI_TRIAL_JOB_ID"] + "\\n")
nni.report_final_result(value)
"""
YAML = """
searchSpace: {x: {_type: uniform, _value: [0, 1]}}
trialCommand: python trial.py
trialConcurrency: 1
maxTrialNumber: 4
experimentWorkingDirectory: runs
tuner: {name: Random}
trainingService: {platform: local}
"""


def attempt(number):
    """(Starts of an experiment in each manager's log, {trial: how often its command ran})."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = [Path(f"{number}-{name}") for name in ("one", "other")]
    for place in folders:
        place.mkdir()
        (place / "trial.py").write_text(TRIAL)
        (place / "config.yaml").write_text(YAML)
    words = {"HOME": os.getcwd(), "NODE_OPTIONS": f"--require={os.getcwd()}/loopback.js"}
    begun = [
        subprocess.Popen(["nnictl", "create", "--config", "config.yaml", "--port", str(port)], cwd=place,
                         env={**os.environ, **words}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for place in folders
    ]
    succeeded = sum("Web portal URLs" in process.communicate()[0] for process in begun)
    ran, waited = [], 0
    while waited < 90 and len(set(ran)) < 4:
        time.sleep(3)
        waited += 3
        ran = [line for place in folders if (place / "runs.txt").exists()
               for line in (place / "runs.txt").read_text().split()]
    for process in psutil.process_iter(["cmdline"]):
        if str(port) in (process.info["cmdline"] or []):
            for one in [process, *process.children(recursive=True)]:
                one.kill()
    logs = [path.read_text() for place in folders for path in place.glob("runs/[!_]*/log/nnimanager.log")]
    return succeeded, [len(re.findall("Starting experiment: ", log)) for log in logs], Counter(ran)


print("nni", version("nni"))
for number in range(5):  # both must be in the same second
    succeeded, starts, ran = attempt(number)
    print(f"nnictl that succeeded: {succeeded}; experiments begun by each manager: {starts}; "
          f"runs of the trials' command: {sorted(ran.values())}")
    if max(starts, default=0) == 2:
        break
assert max(starts) == 2, "a manager begins one experiment now"
assert succeeded == 2, "one of them is told now"
print("as stated: both are told that all is well, and one manager runs both")
PY

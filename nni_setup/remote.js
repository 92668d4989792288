// Trials on other machines (NNI's remote service). It hands trials to the machines in turn, however many run on each,
// and asks each machine about each trial in every pass of the manager's loop, which is short here (preload.js).
'use strict';

const LIMITS = 'FACE_MASK_MACHINES';  // environment variable: {"user@host:port": trials at once}
const PAUSE = 2000;  // milliseconds between two questions about a trial

function patch(Service) {
  const limits = JSON.parse(process.env[LIMITS] ?? '{}');
  const limit = ({ user, host, port }) => limits[`${user}@${host}:${port}`] ?? Infinity;

  const prepare = Service.prototype.prepareTrialJob;
  Service.prototype.prepareTrialJob = async function (id) {
    const busy = new Map();
    for (const job of this.trialJobsMap.values()) {
      if (job.rmMeta === undefined || !['RUNNING', 'UNKNOWN'].includes(job.status)) continue;
      busy.set(job.rmMeta.config, (busy.get(job.rmMeta.config) ?? 0) + 1);
    }
    const load = machine => (busy.get(machine.config) ?? 0) / limit(machine.config);
    if ([...this.machineExecutorManagerMap.values()].every(({ rmMeta }) => load(rmMeta) >= 1)) return false;
    this.gpuScheduler.selectMachine = machines => machines.reduce((one, other) => (load(other) < load(one) ? other : one));
    return prepare.call(this, id);
  };

  const get = Service.prototype.getTrialJob;
  Service.prototype.getTrialJob = async function (id) {
    const job = this.trialJobsMap.get(id);
    if (job !== undefined && Date.now() - (job.askedAt ?? 0) < PAUSE) return job;
    if (job !== undefined) job.askedAt = Date.now();
    return get.call(this, id);
  };
}

module.exports = { patch };

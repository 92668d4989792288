// A trial that a signal ended (the system took its machine or GPU away, killed it for want of memory, or it crashed)
// is no failed recipe: NNI's local service runs it again, under its own id and number, and it goes on from its last
// checkpoint. At most TRIES times in a row without one epoch more, or a trial that always crashes would never end.
'use strict';
const fs = require('fs');
const path = require('path');

const SETTLE = 1000;  // milliseconds in which the other processes of a killed trial end
const TRIES = 3;
const BY_SIGNAL = 128;  // exit codes from here on, as in shells

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function read(...names) {
  try {
    return fs.readFileSync(path.join(...names), 'utf8');
  } catch (error) {
    return '';
  }
}

function statusOf(folder) {  // the trial's own (trial/run_folder/record.py); {} before it has written one
  try {
    return JSON.parse(read(folder, 'status.json')) ?? {};
  } catch (error) {
    return {};
  }
}

function endedBySignal(folder) {
  const code = parseInt(read(folder, '.nni', 'state'), 10);  // NaN: the shell that writes it was killed, too
  return !(code < BY_SIGNAL);
}

function patch(Service) {
  const get = Service.prototype.getTrialJob;
  Service.prototype.getTrialJob = async function (id) {
    const job = this.jobMap.get(id);
    if (job === undefined || job.status !== 'RUNNING' || this.stopping) return get.call(this, id);
    if (isAlive(job.pid)) return job;
    const folder = job.workingDirectory, status = statusOf(folder);
    if (status.state === 'running' && isAlive(status.process?.pid)) return job;  // its shell was killed first
    if (!endedBySignal(folder)) return get.call(this, id);
    job.goneSince ??= Date.now();
    if (Date.now() - job.goneSince < SETTLE) return job;
    const epochs = status.epochs ?? 0;
    const tries = epochs > (job.epochs ?? -1) ? 1 : job.tries + 1;
    if (tries > TRIES) return get.call(this, id);
    this.log.info(`Trial job ${id} was ended by a signal after epoch ${epochs}: it is run again`);
    const stream = this.jobStreamMap.get(id);  // the next process's has all reports, from the first one on
    if (stream !== undefined) {
      stream.end(0);
      stream.emit('end');
      this.jobStreamMap.delete(id);
    }
    fs.rmSync(path.join(folder, '.nni', 'state'), { force: true });
    Object.assign(job, { epochs, tries, goneSince: undefined, pid: undefined });
    this.setTrialJobStatus(job, 'WAITING');
    this.jobQueue.push(id);
    return job;
  };
}

module.exports = { patch };

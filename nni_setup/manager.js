// What NNI's NNIManager gets wrong when it begins an experiment, or takes it up again (nnictl resume).
'use strict';

function patch(NNIManager) {
  // Of two nnictl that choose one port at the same moment, both reach the manager that got it. It would begin both
  // experiments, and each trial would run twice.
  for (const name of ['startExperiment', 'resumeExperiment']) {
    const begin = NNIManager.prototype[name];
    NNIManager.prototype[name] = async function (...args) {
      if (this.begun) throw new Error('this manager has begun an experiment; another one asked for the same port');
      this.begun = true;
      return begin.apply(this, args);
    };
  }
  // It counts the trials that it runs again twice against maxTrialNumber, so that 8 asked end as 6; gives new trials
  // the numbers of earlier ones; and forgets a trial that was to be run again when it was killed a second time.
  const recover = NNIManager.prototype.addRecoveredTrialJob;
  NNIManager.prototype.addRecoveredTrialJob = function (jobs) {
    recover.call(this, jobs.map(job => (job.status === 'ADD_RESUMED' ? { ...job, status: 'WAITING' } : job)));
    this.currSubmittedTrialNum = jobs.length - this.waitingTrials.length;  // counted again when they are submitted
    this.experimentProfile.nextSequenceId = 1 + Math.max(-1, ...jobs.map(job => job.sequenceId ?? -1));
  };
}

module.exports = { patch };

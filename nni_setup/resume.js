// What NNI's manager gets wrong when it takes an experiment up again (nnictl resume). Its NNIManager counts the trials
// that it runs again twice against maxTrialNumber, so that 8 asked end as 6; gives new trials the numbers of earlier
// ones; and forgets a trial that was to be run again when it was killed a second time.
'use strict';

function patch(NNIManager) {
  const recover = NNIManager.prototype.addRecoveredTrialJob;
  NNIManager.prototype.addRecoveredTrialJob = function (jobs) {
    recover.call(this, jobs.map(job => (job.status === 'ADD_RESUMED' ? { ...job, status: 'WAITING' } : job)));
    this.currSubmittedTrialNum = jobs.length - this.waitingTrials.length;  // counted again when they are submitted
    this.experimentProfile.nextSequenceId = 1 + Math.max(-1, ...jobs.map(job => job.sequenceId ?? -1));
  };
}

module.exports = { patch };

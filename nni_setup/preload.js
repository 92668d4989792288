// Changes seven things in NNI's manager before its own code runs (node --require). NNI 2.10 has no option for them.
//   1. Its page and its REST interface have no login, and listen on every address: keep them on this machine, for
//      this user's programs and the page itself only (access.js).
//   2. Its two loops that start trials and notice their ends sleep for 5 s, longer than a short trial runs.
//   3. Its page loads its icons from the internet; without a connection all are empty boxes (icons.js).
//   4. It begins two experiments if two nnictl choose one port at once, and after `nnictl resume` it runs fewer
//      trials than asked for, and numbers them again (manager.js).
//   5. It gives its tuner 10 s to start and 5 s to answer, and ends the experiment otherwise: too little on a busy machine.
//   6. A trial that a signal ended counts as failed: it is run again and goes on (again.js).
//   7. On other machines it starts trials in turn, however many run on each (remote.js).
// Other Node programs that load this file by NODE_OPTIONS are not changed.
'use strict';
const Module = require('module');
const path = require('path');

const LOOPBACK = '127.0.0.1';
const SLEEP = 5000, SHORT_SLEEP = 250;  // milliseconds
const TUNER_STARTS = 10000, TUNER_ANSWERS = 5000, PATIENCE = 120000;
const LOOPS = /\.(manageTrials|runJobLoop) /;  // not those that call nvidia-smi or another machine each time

function isManager(script) {
  return typeof script === 'string' && path.basename(script) === 'main.js'
    && path.basename(path.dirname(script)) === 'nni_node';
}

function keepOnLoopback(net) {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    const [first, host] = args;
    if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
      args.splice(1, typeof host === 'string' || host == null ? 1 : 0, LOOPBACK);
    } else if (first !== null && typeof first === 'object' && first.port !== undefined) {
      args[0] = { ...first, host: LOOPBACK };
    } else if (args.length === 0 || typeof first === 'function') {
      args.unshift(0, LOOPBACK);
    }
    return listen.apply(this, args);
  };
}

function shortenSleep(timers) {
  const wait = timers.setTimeout;
  timers.setTimeout = (milliseconds, ...rest) => {
    const short = milliseconds === SLEEP && LOOPS.test(new Error().stack);
    return wait(short ? SHORT_SLEEP : milliseconds, ...rest);
  };
}

function waitForTuner(timers) {
  for (const [name, limit] of [['setTimeout', TUNER_STARTS], ['setInterval', TUNER_ANSWERS]]) {
    const set = timers[name];
    const patient = (run, milliseconds, ...rest) => {
      const ofTuner = milliseconds === limit && new Error().stack.includes('WebSocketChannelImpl');
      return set(run, ofTuner ? PATIENCE : milliseconds, ...rest);
    };
    timers[name] = Object.defineProperties(patient, Object.getOwnPropertyDescriptors(set));
  }
}

// `files`: the file that changes each class of NNI. An importer gets a class before it uses it.
function patchClasses(files) {
  const load = Module._load;
  Module._load = function (...args) {
    const loaded = load.apply(this, args);
    const name = Object.keys(files).find(name => new RegExp(`(^|/)${name}(\\.js)?$`, 'i').test(args[0]));
    if (name && loaded[name] && !loaded[name].patched) {
      loaded[name].patched = true;
      require(files[name]).patch(loaded[name]);
    }
    return loaded;
  };
}

if (isManager(process.argv[1])) {
  keepOnLoopback(require('net'));
  shortenSleep(require('timers/promises'));
  waitForTuner(global);
  const page = path.join(path.dirname(process.argv[1]), 'static', 'static');
  require('./icons.js').serveIcons(require('http'), page);
  patchClasses({
    NNIManager: './manager.js', LocalTrainingService: './again.js', RemoteMachineTrainingService: './remote.js',
  });
  const access = require('./access.js');
  access.guardRequests(require('http'));  // last, so that it comes before the icons
  access.refuseRoutes();
  // The dispatcher's, as in common/__init__.py: the tuner's matrices are small, and trials use all cores.
  process.env.OPENBLAS_NUM_THREADS ??= '1';
  process.env.FACE_MASK_NNI_PRELOAD = '1';  // inherited by the trials, which warn when it is missing
}

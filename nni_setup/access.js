// Who may use NNI's page, its REST interface and its tuner's channel. NNI asks nobody: a web page in the user's
// browser could end a running search, and another user of this machine could start programs as this one.
'use strict';
const fs = require('fs');
const Module = require('module');
const os = require('os');

const LOCAL = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i;  // any port: an SSH tunnel may end at another one
const FORBIDDEN = 'refused by nni_setup/access.js: ';

// Why a request is refused; undefined if it is not.
function refusal(request) {
  const { host = '', origin } = request.headers;
  if (!LOCAL.test(host)) return `it asks for ${JSON.stringify(host)}, not for localhost or 127.0.0.1`;
  if (origin !== undefined && origin !== `http://${host}`) return `it comes from another page, ${JSON.stringify(origin)}`;
  // /trial-file/ joins what it is given to the experiment's folder. No address of NNI's own needs these.
  if (/%(2f|5c|00)|\\|(^|\/)(\.|%2e){2}(\/|$)/i.test(request.url.split('?')[0])) return 'its path leaves its folder';
  // A copied trial of its page ("Customized trial") gets no number, by which any tuner and assessor would end.
  if (request.method === 'POST' && /\/trial-jobs\/?(\?|$)/i.test(request.url)) {
    return 'the tuner would end with a trial that it did not choose; train one by python -m trial, or give its recipe '
      + "in `first` of the tuner's classArgs";
  }
  return undefined;
}

function refuse(response, why) {
  response.writeHead(403, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(JSON.stringify({ error: FORBIDDEN + why }));
}

function guardRequests(http) {
  const emit = http.Server.prototype.emit;
  http.Server.prototype.emit = function (event, request, answer, ...rest) {
    if (event === 'connection' && isOthers(request)) {
      request.destroy();
      return true;
    }
    const why = (event === 'request' || event === 'upgrade') && refusal(request);
    if (event === 'request' && why) {
      refuse(answer, why);
      return true;
    }
    if (event === 'upgrade' && why) {
      answer.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return true;
    }
    if (event === 'request') answer.setHeader('X-Frame-Options', 'SAMEORIGIN');  // no clicks through another page
    return emit.call(this, event, request, answer, ...rest);
  };
}

// Whether a connection over loopback may be another user's, root excepted. Linux tells whose each open socket is. One
// that is closed already has no owner there: a client could send a request and close at once, so it counts as another's.
// Elsewhere false.
function isOthers(socket) {
  if (process.platform !== 'linux') return false;
  for (let looks = 3; looks; looks--) {  // a table that changes while it is read may lack a row
    const [user, inode] = ownerOf(socket);
    if (inode > 0) return ![0, process.getuid()].includes(user);
    if (inode === 0) return true;
  }
  return true;
}

// Where Linux lists sockets, and what comes before an IPv4 address there. A client with an IPv6 socket, which reaches
// 127.0.0.1 as ::ffff:127.0.0.1, is in the second.
const TABLES = { '/proc/net/tcp': '', '/proc/net/tcp6': '0000000000000000FFFF0000' };

// [user, inode] of the other end of a connection; inode 0: closed already; []: not found.
function ownerOf(socket) {
  const their = hexOf(socket.remoteAddress, socket.remotePort), our = hexOf(socket.localAddress, socket.localPort);
  for (const [table, before] of Object.entries(TABLES)) {
    let lines = [];
    try {
      lines = fs.readFileSync(table, 'latin1').split('\n');
    } catch {}  // no IPv6, or no more open files
    for (const line of lines) {
      const [, from, to, , , , , user, , inode] = line.trim().split(/\s+/);
      if (from === before + their && to === before + our) return [Number(user), Number(inode)];
    }
  }
  return [];
}

// An IPv4 address and port as Linux writes them on x86 and ARM: '0100007F:1F90' for 127.0.0.1:8080.
function hexOf(address = '', port = 0) {
  const bytes = address.replace('::ffff:', '').split('.').map(Number).reverse();
  return `${Buffer.from(bytes).toString('hex')}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
}

// Two routes of NNI's: /netron hands requests on to a site on the internet; /tensorboard starts a server that listens
// on every address, in folders anywhere.
function refuseRoutes() {
  const load = Module._load;
  Module._load = function (name, ...rest) {
    const loaded = load.call(this, name, ...rest);
    if (name === 'http-proxy') {
      return { createProxyServer: () => ({ web: (_, response) => refuse(response, 'it would be handed on to another site') }) };
    }
    if (/nniTensorboardManager(\.js)?$/.test(name)) {
      loaded.NNITensorboardManager.prototype.startTensorboardTask = async () => {
        throw new Error(`${FORBIDDEN}TensorBoard would listen on every address; start it yourself`);
      };
    }
    return loaded;
  };
}

module.exports = { guardRequests, refuseRoutes };

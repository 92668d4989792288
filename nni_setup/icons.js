// Icons for NNI's page without internet. Its own (Microsoft's Fabric icons) come from a server on the internet and
// have no free licence; the page ships the codicons font (CC BY 4.0) for its editor, which has the like of each.
'use strict';
const fs = require('fs');
const path = require('path');

const STYLES = /\/static\/css\/(main\.[0-9a-f]+\.css)$/;  // what each of its pages loads
const CODICONS = {  // Fabric's name: the glyph
  Archive: 'eb51', AutoRacing: 'ea79', BarChartHorizontal: 'eb16', Blocked2: 'eabd', BulletedList: 'eb17',
  Calendar: 'eab0', Cancel: 'ea76', CheckMark: 'eab2', ChevronDown: 'eab4', ChevronLeft: 'eab5',
  ChevronRight: 'eab6', ChevronRightMed: 'eab6', ChevronUp: 'eab7', CircleRing: 'eabc', Clear: 'ea76',
  Completed: 'eba4', Copy: 'ebcc', CustomList: 'eb84', DisableUpdates: 'eb9f', DocumentSearch: 'ea6d',
  Down: 'ea9a', Download: 'ea78', Edit: 'ea73', Equalizer: 'eb03', ErrorBadge: 'ea87', FilePDB: 'eb9d',
  Filter: 'eaf1', FlowChart: 'ebb9', HomeGroup: 'eacd', Important: 'ea6c', Info: 'ea74', LineChart: 'eb31',
  M365InvoicingLogo: 'eb9d', Market: 'eaa1', MarketDown: 'ea9a', More: 'ea7c', NumberSymbol: 'ea90',
  OfficeChat: 'eac7', Refresh: 'eb37', ReminderTime: 'ea82', ReplyAll: 'ea7d', RevToggleKey: 'eb8f',
  Search: 'ea6d', ShowResults: 'eb26', SortDown: 'ea9a', SortUp: 'eaa1', StackedLineChart: 'eb03',
  StatusCircleBlock: 'eabd', StatusCircleCheckmark: 'eba4', Sync: 'ea77', TestParameter: 'ea92',
  TextDocument: 'ea7b', Timer: 'eb7c', Up: 'eaa1', VerifiedBrand: 'eb77', Warning: 'ea6c',
};

// Each glyph is one em wide and stands before Fabric's letter, which then has no room.
function rules(font) {
  const names = Object.keys(CODICONS).map(name => `i[data-icon-name="${name}" i]`);
  return [
    `\n@font-face { font-family: "page-codicons"; src: url("../media/${font}"); }`,
    `${names.join(', ')} { font-family: "page-codicons" !important; display: inline-block; width: 1em; `
      + 'overflow: hidden; white-space: nowrap; vertical-align: middle; line-height: 1.2; }',
    ...Object.entries(CODICONS).map(([name, glyph]) => `i[data-icon-name="${name}" i]::before { content: "\\${glyph}"; }`),
  ].join('\n');
}

// The page's styles with ours, null where this NNI has other files.
function styles(name, folder) {
  try {
    const font = fs.readdirSync(path.join(folder, 'media')).find(file => /^codicon\.[0-9a-f]+\.ttf$/.test(file));
    return font ? fs.readFileSync(path.join(folder, 'css', name), 'utf8') + rules(font) : null;
  } catch {
    return null;
  }
}

// `folder`: the page's, with css/ and media/.
function serveIcons(http, folder) {
  const emit = http.Server.prototype.emit;
  http.Server.prototype.emit = function (event, request, response, ...rest) {
    const asked = event === 'request' && request.method === 'GET' && STYLES.exec(request.url);
    const text = asked && styles(asked[1], folder);
    if (!text) return emit.call(this, event, request, response, ...rest);
    response.writeHead(200, { 'Content-Type': 'text/css; charset=utf-8', 'Cache-Control': 'no-cache' });
    response.end(text);
    return true;
  };
}

module.exports = { serveIcons };

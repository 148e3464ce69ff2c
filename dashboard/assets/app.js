// Finds the view for the address and starts it. Every page is a load of its own: the browser's history, focus and titles
// then work as everywhere, and what a view holds ends with it.

import { announceIncidents } from './base/announce.js';
import { get } from './base/api.js';
import { dataTime } from './base/connection.js';
import { h, put, title } from './base/dom.js';
import { keep, trouble } from './base/keep.js';

/** Only the view that is shown is loaded. */
const VIEWS = [
  [/^\/$/, () => import('./views/fleet.js')],
  [/^\/devices\/([^/]+)$/, () => import('./views/device.js')],
  [/^\/incidents$/, () => import('./views/incidents.js')],
  [/^\/incidents\/([^/]+)$/, () => import('./views/incident.js')],
  [/^\/pipeline$/, () => import('./views/pipeline.js')],
  [/^\/dead-letters$/, () => import('./views/dead_letters.js')],
  [/^\/maintenance$/, () => import('./views/maintenance.js')],
];

function markPage() {
  for (const link of document.querySelectorAll('header nav a')) {
    const target = link.getAttribute('href');
    const here =
      target === '/' ? location.pathname === '/' || location.pathname.startsWith('/devices/') : location.pathname.startsWith(target);
    if (here) link.setAttribute('aria-current', location.pathname === target ? 'page' : 'true');
  }
}

/** Between looks at the data's own time. */
const DATA_TIME_MS = 30_000;

/** The header tells of what time the data is, on pages that don't ask for it anyway. */
function watchDataTime() {
  keep(
    async (signal) => {
      dataTime(await get(['fleet'], { limit: 1 }, signal));
    },
    () => {},
    { everyMs: DATA_TIME_MS, soonMs: DATA_TIME_MS },
  );
}

/** Below every page: whose clock the times are of. */
function sayZone() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  document.getElementById('zone').textContent = `Times are those of your zone (${timeZone}); pointing at one shows UTC.`;
}

async function start() {
  markPage();
  sayZone();
  const main = document.getElementById('main');
  try {
    for (const [pattern, load] of VIEWS) {
      const found = pattern.exec(location.pathname);
      if (!found) continue;
      const view = await load();
      view.start(main, ...found.slice(1).map(decodeURIComponent));
      announceIncidents();
      if (!view.tellsDataTime) watchDataTime();
      return;
    }
    put(
      main,
      title('No such page'),
      h('p', null, 'There is nothing at this address. '),
      h('p', null, h('a', { href: '/' }, 'To the fleet')),
    );
  } catch (error) {
    trouble(main, error);
  }
}

start();

// Keeps something on a page up to date: asked at once, again when the server has news, and now and then in any case, because
// news may get lost. One question at a time; a server that is away is waited for.

import { waitOut } from './api.js';
import { answered } from './connection.js';
import { h, put, title } from './dom.js';
import { isLive, listen } from './events.js';

/** Between looks while news come by themselves, and while they don't. */
const QUIET_MS = 30_000;
const POLL_MS = 5_000;

/**
 * @param {(signal: AbortSignal) => Promise<void>} load asks and shows
 * @param {(error: Error) => void} refused shows what the server refuses for good (a 404, say)
 * @param {{everyMs?: number, soonMs?: number}} times `soonMs`: at most one question in that time when news come
 * @returns {{now: () => void, soon: () => void}} `now` drops a question that is under way and asks anew; `soon` asks for news
 */
export function keep(load, refused, { everyMs = QUIET_MS, soonMs = POLL_MS } = {}) {
  let asking = null;
  let askedMs = 0;
  let due = null;
  let waits = false;

  async function now() {
    asking?.abort();
    clearTimeout(due);
    due = null;
    askedMs = Date.now();
    const mine = (asking = new AbortController());
    try {
      await load(mine.signal);
      waits = false;
      answered(now);
    } catch (error) {
      if (mine.signal.aborted) return;
      waits = waitOut(error, now);
      if (!waits) {
        answered(now);
        refused(error);
      }
    } finally {
      if (asking === mine) asking = null;
    }
  }

  function soon() {
    if (due || waits || document.hidden) return;
    due = setTimeout(
      () => {
        due = null;
        if (asking) soon();
        else now();
      },
      Math.max(0, askedMs + soonMs - Date.now()),
    );
  }

  setInterval(() => {
    if (!asking && !waits && !document.hidden && Date.now() - askedMs >= (isLive() ? everyMs : POLL_MS)) now();
  }, 1000);
  listen('down', soon);
  listen('resync', now);
  now();
  return { now, soon };
}

/** In place of what can't be shown: what the server said, and where to go from there. */
export function trouble(place, error, ...more) {
  if (!error.status) console.error(error);
  put(
    place,
    place.id === 'main' && title(error.title ?? 'This page failed'),
    h(
      'div',
      { class: 'panel problem', role: 'alert' },
      h('p', null, h('strong', null, error.title ?? 'This page failed'), `: ${error.message}`),
      ...more,
    ),
  );
}

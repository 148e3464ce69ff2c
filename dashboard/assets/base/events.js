// What the server tells by itself (/api/v1/events): one stream a page, opened when somebody listens, opened again when it ends,
// and closed while nobody looks, for a browser gives all tabs together six connections to a server.

import { heard } from './connection.js';

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

const listeners = new Map();
let stream = null;
let waitMs = FIRST_WAIT_MS;
let timer = null;

/** Calls `listener` with the data of each event `kind`: `states`, `incident`, `pipeline`, `resync`; `down` tells that the stream ended. */
export function listen(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  if (!stream) open();
}

/** Whether news come by themselves at the moment. */
export function isLive() {
  return stream?.readyState === EventSource.OPEN;
}

function tell(kind, data) {
  for (const listener of listeners.get(kind) ?? []) listener(data);
}

function open() {
  clearTimeout(timer);
  if (document.hidden || stream) return;
  const mine = (stream = new EventSource('/api/v1/events'));
  mine.onopen = () => {
    waitMs = FIRST_WAIT_MS;
    heard();
  };
  mine.onerror = () => {
    tell('down');
    // A stream that was refused is not opened again by the browser.
    if (mine.readyState !== EventSource.CLOSED || stream !== mine) return;
    stream = null;
    timer = setTimeout(open, waitMs);
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  };
  for (const kind of ['states', 'incident', 'pipeline', 'resync']) {
    mine.addEventListener(kind, (event) => {
      heard();
      tell(kind, JSON.parse(event.data || '{}'));
    });
  }
}

function close() {
  clearTimeout(timer);
  stream?.close();
  stream = null;
}

/** Back in sight: what was missed is asked for. */
function again() {
  if (!listeners.size || stream || document.hidden) return;
  open();
  tell('resync', {});
}

document.addEventListener('visibilitychange', () => (document.hidden ? close() : again()));
window.addEventListener('pagehide', close);
window.addEventListener('pageshow', again);

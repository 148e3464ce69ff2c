// What the page knows of the server: when it last answered, what it can't answer now, and the banner that says so. A page is never
// silently stale: the header tells the age of what is shown.

import { h, put, setText } from './dom.js';
import { clockText, duration, timeText } from './format.js';

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
/** Age from which the header says it in bold: twice what a quiet page waits between looks. */
const STALE_MS = 75_000;
/** Older data is not "now" any more: a recording, or a job that catches up. */
const PRESENT_MS = 600_000;

let answeredMs = null;
let waitMs = FIRST_WAIT_MS;
let nextTryMs = 0;
let dataNote = '';
/** Questions that wait for the server, each with how to ask it again. */
const waiting = new Set();

/** A sign of life that is no answer to a question. */
export function heard() {
  if (waiting.size) return;
  const first = answeredMs === null;
  answeredMs = Date.now();
  if (first) tick();
}

/** A question was answered; `retry` is what {@link failed} was given for it, if ever. */
export function answered(retry) {
  waiting.delete(retry);
  answeredMs = Date.now();
  if (waiting.size) return;
  tick();
  waitMs = FIRST_WAIT_MS;
  const banner = document.getElementById('banner');
  if (banner.firstChild) put(banner);
}

/** The server did not answer (`status` 0), or said that it can't; `retry` is run with growing pauses until {@link answered}. */
export function failed(reason, status, retry) {
  const first = waiting.size === 0;
  waiting.add(retry);
  if (!first) return;
  waitMs = FIRST_WAIT_MS;
  nextTryMs = Date.now() + waitMs;
  const heading = status ? "The server can't answer at the moment" : 'The server does not answer';
  const age = answeredMs === null ? 'Nothing could be loaded yet.' : `What you see is of ${clockText(answeredMs, true)}.`;
  put(
    document.getElementById('banner'),
    h(
      'p',
      null,
      h('strong', null, heading),
      ` (${reason}). ${age} It is asked again by itself. `,
      // Counted down for the eye only: an alert that speaks every second would be unbearable.
      h('span', { id: 'countdown', 'aria-hidden': 'true' }),
    ),
    h('button', { type: 'button', on: { click: tryNow } }, 'Try now'),
  );
}

/**
 * Takes note of the data's own time, which the header shows where it isn't the present.
 * @returns {number} what "now" is for ages: the clock for present data, else the data's own newest time
 */
export function dataTime(asOfMs, live) {
  const now = Date.now();
  if (!Number.isFinite(asOfMs)) return now;
  const present = Math.abs(now - asOfMs) < PRESENT_MS;
  dataNote = present && live ? '' : `newest data ${timeText(asOfMs)}`;
  return present ? Math.max(now, asOfMs) : asOfMs;
}

function tryNow() {
  waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  nextTryMs = Date.now() + waitMs;
  for (const retry of [...waiting]) retry();
}

function tick() {
  const now = Date.now();
  const whole = (ms) => duration(ms - (ms % 1000));
  if (waiting.size) {
    if (now >= nextTryMs) tryNow();
    const countdown = document.getElementById('countdown');
    const age = answeredMs === null ? '' : `${whole(now - answeredMs)} old; `;
    if (countdown) setText(countdown, `${age}next try in ${Math.max(0, Math.ceil((nextTryMs - now) / 1000))} s.`);
  }
  const line = document.getElementById('freshness');
  if (answeredMs === null) return setText(line, waiting.size ? 'no answer yet' : 'loading');
  const age = now - answeredMs;
  line.classList.toggle('stale', age > STALE_MS || waiting.size > 0);
  const seen = age < 10_000 && !waiting.size ? 'up to date' : `${whole(age)} old`;
  setText(line, [seen, dataNote].filter(Boolean).join(' · '));
  line.title = `the server last answered at ${timeText(answeredMs, true)}`;
}

setInterval(tick, 1000);

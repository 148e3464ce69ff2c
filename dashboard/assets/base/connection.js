// What the page knows of the server: when it last answered, what it can't answer now, and the banner that says so. A page is never
// silently stale: the header tells the age of what is shown.

import { h, put, setText } from './dom.js';
import { ago, clockText, dayText, duration, timeText } from './format.js';

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
/** Age from which the header says it in bold: twice what a quiet page waits between looks. */
const STALE_MS = 75_000;

let answeredMs = null;
let waitMs = FIRST_WAIT_MS;
let nextTryMs = 0;
/** What the fleet says of its data's time; `null` before it has said so. */
let data = null;
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
 * @param {{as_of_ms: number, recording: boolean, stale_after_ms: number}} fleet an answer of `/api/v1/fleet`
 * @returns {number} what "now" is for ages: the clock, for a recording the data's own newest time
 */
export function dataTime(fleet) {
  data = fleet;
  tick();
  return fleet.recording && fleet.as_of_ms > 0 ? fleet.as_of_ms : Math.max(Date.now(), fleet.as_of_ms);
}

/** Of what time the data is, for the header, and whether that is in order. */
function ofData(now) {
  if (data === null) return { text: 'loading', stale: false };
  const { as_of_ms: asOfMs, recording, stale_after_ms: staleAfterMs } = data;
  if (asOfMs <= 0) return { text: 'no data yet', stale: false };
  if (recording) return { text: `newest data ${timeText(asOfMs)}, of a recording`, stale: false };
  const age = now - asOfMs;
  if (age <= staleAfterMs) return { text: 'up to date', stale: false };
  const when = dayText(asOfMs) === dayText(now) ? clockText(asOfMs) : timeText(asOfMs);
  return { text: `newest data ${when}, ${ago(asOfMs, now)}`, stale: true };
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
  const { text, stale } = ofData(now);
  line.classList.toggle('stale', stale || age > STALE_MS || waiting.size > 0);
  const unheard = age >= 10_000 || waiting.size > 0;
  // What is "up to date" or not can't be said while nothing is heard.
  setText(line, unheard ? [`${whole(age)} old`, stale || data?.recording ? text : ''].filter(Boolean).join(' · ') : text);
  line.title = `the server last answered at ${timeText(answeredMs, true)}`;
}

setInterval(tick, 1000);

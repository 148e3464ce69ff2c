// The span of time that all charts of a page share: presets up to now, or any span; by buttons, by two fields, or drawn in a
// chart. It stands in the address.

import { freshId, h, put } from '../base/dom.js';
import { fromInput, toInput } from '../base/format.js';
import { query, setQuery } from '../base/place.js';

const HOUR = 3_600_000;
/** Name, words, length. */
export const PRESETS = [
  ['1h', '1 hour', HOUR],
  ['6h', '6 hours', 6 * HOUR],
  ['24h', '24 hours', 24 * HOUR],
  ['7d', '7 days', 168 * HOUR],
  ['30d', '30 days', 720 * HOUR],
];
const SHORTEST_MS = 5 * 60_000;
const LONGEST_MS = 31 * 24 * HOUR;

/**
 * @param {() => number} nowMs the end of the presets: the newest data's time
 * @param {() => void} changed
 */
export function range(nowMs, changed) {
  const asked = query();
  const free = { from: Number(asked.from), to: Number(asked.to) };
  let preset = PRESETS.find(([name]) => name === asked.range) ?? PRESETS[1];
  let span = asked.from && asked.to && free.to > free.from ? bounded(free.from, free.to) : null;

  const buttons = PRESETS.map((one) => h('button', { type: 'button', on: { click: () => choose(one) } }, one[1]));
  const from = h('input', { type: 'datetime-local', id: freshId('from') });
  const to = h('input', { type: 'datetime-local', id: freshId('to') });
  const problem = h('p', { class: 'hint', role: 'status' });
  const step = (label, text, change) => h('button', { type: 'button', title: label, on: { click: change } }, text);
  const element = h(
    'form',
    { class: 'controls', 'aria-label': 'Time shown', on: { submit: applyFields } },
    h('fieldset', { class: 'checks' }, h('legend', null, 'Up to now'), buttons),
    h(
      'fieldset',
      { class: 'checks' },
      h('legend', null, 'Move'),
      step('Earlier by half', 'earlier', () => move(-0.5)),
      step('Later by half', 'later', () => move(0.5)),
      step('Half the time', 'closer', () => zoom(0.5)),
      step('Twice the time', 'wider', () => zoom(2)),
    ),
    h('div', { class: 'field' }, h('label', { for: from.id }, 'From'), from),
    h('div', { class: 'field' }, h('label', { for: to.id }, 'To'), to),
    h('button', { type: 'submit' }, 'Show'),
    problem,
  );

  function current() {
    if (span) return span;
    const end = nowMs();
    return { from_ms: end - preset[2], to_ms: end };
  }

  function choose(one) {
    preset = one;
    span = null;
    setQuery({ range: one[0], from: null, to: null }, true);
    tell();
  }

  function set(fromMs, toMs) {
    span = bounded(fromMs, toMs);
    setQuery({ range: null, from: span.from_ms, to: span.to_ms }, true);
    tell();
  }

  function move(share) {
    const now = current();
    const by = (now.to_ms - now.from_ms) * share;
    set(now.from_ms + by, now.to_ms + by);
  }

  function zoom(factor) {
    const now = current();
    const middle = (now.from_ms + now.to_ms) / 2;
    const half = ((now.to_ms - now.from_ms) * factor) / 2;
    set(middle - half, middle + half);
  }

  function applyFields(event) {
    event.preventDefault();
    const [begin, end] = [fromInput(from.value), fromInput(to.value)];
    if (begin === null || end === null || end <= begin) {
      put(problem, 'Give a time from and a later time to.');
      return;
    }
    put(problem, end - begin > LONGEST_MS ? 'At most 31 days are shown at once: these are the last 31 of yours.' : null);
    set(begin, end);
  }

  function tell() {
    mark();
    changed();
  }

  /** Shows the current span in the form. */
  function mark() {
    PRESETS.forEach((one, at) => buttons[at].setAttribute('aria-pressed', String(!span && one === preset)));
    const now = current();
    // Not while somebody fills them in.
    if ([from, to].includes(document.activeElement)) return;
    [from.value, to.value] = [toInput(now.from_ms), toInput(now.to_ms)];
  }

  return { element, current, set, mark, reset: () => choose(preset), follows: () => !span };
}

function bounded(fromMs, toMs) {
  let from = Math.round(fromMs);
  let to = Math.round(toMs);
  if (to - from < SHORTEST_MS) {
    const middle = Math.round((from + to) / 2);
    from = middle - SHORTEST_MS / 2;
    to = middle + SHORTEST_MS / 2;
  }
  return { from_ms: Math.max(from, to - LONGEST_MS), to_ms: to };
}

// What a chart is made of, as plain arithmetic over arrays: closed areas that stop at gaps, points that stand alone, ticks of
// the viewer's clock, and the sentence that says what the lines show.

import { clockText, decimalsOf, number, quantity, timeText } from '../base/format.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The outline of the area between two curves, one closed piece for each run without gaps, pieces parted by `null`. */
export function area(times, low, high) {
  const x = [];
  const y = [];
  let begin = 0;
  while (begin < times.length) {
    if (!known(low[begin]) || !known(high[begin])) {
      begin += 1;
      continue;
    }
    let end = begin;
    while (end + 1 < times.length && known(low[end + 1]) && known(high[end + 1])) end += 1;
    if (x.length) {
      x.push(null);
      y.push(null);
    }
    for (let at = begin; at <= end; at += 1) (x.push(times[at]), y.push(high[at]));
    for (let at = end; at >= begin; at -= 1) (x.push(times[at]), y.push(low[at]));
    begin = end + 1;
  }
  return { x, y };
}

/** Points without a neighbour: a line would not show them. */
export function lonely(values) {
  return values.map((value, at) => (known(value) && !known(values[at - 1]) && !known(values[at + 1]) ? value : null));
}

function known(value) {
  return value !== null && value !== undefined;
}

const STEPS = [
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  5 * DAY,
];

/**
 * Ticks at round times of the viewer's clock, at most `most` of them. They are counted from midnight by the calendar, so
 * that a day of 23 or 25 hours has its ticks where its clocks showed them.
 */
export function ticks(fromMs, toMs, most) {
  const step = STEPS.find((one) => (toMs - fromMs) / one <= most) ?? Math.ceil((toMs - fromMs) / most / DAY) * DAY;
  const values = [];
  const texts = [];
  const day = new Date(fromMs);
  day.setHours(0, 0, 0, 0);
  let shown = '';
  for (let guard = 0; day.getTime() < toMs && guard < 5000; guard += 1) {
    const next = new Date(day);
    next.setDate(day.getDate() + Math.max(1, step / DAY));
    for (let at = day.getTime(); at < next.getTime(); at += step) {
      if (at < fromMs || at > toMs) continue;
      const date = dateLabel(at);
      values.push(at);
      texts.push(step >= DAY ? date : date === shown ? clockText(at) : `${clockText(at)}<br>${date}`);
      shown = date;
      if (step >= DAY) break;
    }
    day.setTime(next.getTime());
  }
  return { values, texts };
}

function dateLabel(ms) {
  return new Date(ms).toLocaleDateString('en', { day: 'numeric', month: 'short' });
}

/** One sentence of what a metric's chart shows, for those who can't see it. */
export function sentence(series, metric) {
  const seen = metric.mean.filter(known);
  const span = `${timeText(series.from_ms)} to ${timeText(series.to_ms)}`;
  if (!seen.length) return `${metric.label}, ${span}: nothing came.`;
  const digits = decimalsOf(seen);
  const lowest = Math.min(...metric.min.filter(known), ...seen);
  const highest = Math.max(...metric.max.filter(known), ...seen);
  const average = seen.reduce((sum, value) => sum + value, 0) / seen.length;
  let outside = 0;
  let judged = 0;
  metric.mean.forEach((value, at) => {
    if (!known(value) || !known(metric.low[at]) || !known(metric.high[at])) return;
    judged += 1;
    if (value < metric.low[at] || value > metric.high[at]) outside += 1;
  });
  const parts = [
    metric.unit === '0/1'
      ? `on ${number(average * 100, 0)} % of the time`
      : `${quantity(lowest, metric.unit, digits)} to ${quantity(highest, metric.unit, digits)}, mean ${quantity(average, metric.unit, digits)}`,
    judged && (outside ? `outside the expected band in ${share(outside, judged)}` : 'always within the expected band'),
    seen.length < metric.mean.length && `nothing came in ${share(metric.mean.length - seen.length, metric.mean.length)}`,
  ];
  return `${parts.filter(Boolean).join('; ')}.`;
}

function share(part, whole) {
  const percent = (part / whole) * 100;
  return `${percent < 1 ? 'less than 1' : number(percent, 0)} % of the time`;
}

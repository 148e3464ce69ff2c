// A metric over time: its mean as a line that stops where nothing came, the spread of its readings, what the statistics predicted
// before they saw it, and the band around that; both stop where nothing was predicted.

import { name } from '../base/dom.js';
import { decimalsOf, number, quantity, time, timeText } from '../base/format.js';
import { table } from '../base/table.js';
import { colour, harmless, layout, shapesOf } from './plotly.js';
import { area, lonely, sentence } from './shapes.js';

/** How to draw a metric of a /series answer (see `chart.js`). */
export function metricDrawing(series, metric, atMs) {
  const newest = lastKnown(metric.mean);
  return {
    traces: () => traces(series, metric),
    layout: (width) =>
      layout(series, width, {
        shapes: shapesOf(series, atMs),
        yaxis: metric.unit === '0/1' ? { range: [-0.1, 1.1], tickvals: [0, 1], ticktext: ['off', 'on'] } : {},
      }),
    summary: sentence(series, metric),
    readout: newest === null ? 'nothing came' : `${quantity(metric.mean[newest], metric.unit)} at ${timeText(series.times_ms[newest])}`,
    rows: () => rows(series, metric),
  };
}

function lastKnown(values) {
  for (let at = values.length - 1; at >= 0; at -= 1) if (values[at] !== null) return at;
  return null;
}

function traces(series, metric) {
  const times = series.times_ms;
  const steps = metric.unit === '0/1' ? 'hv' : 'linear';
  const main = colour('band');
  const shade = (what, low, high, fill, line) => {
    const outline = area(times, low, high);
    return {
      ...outline,
      name: what,
      type: 'scatter',
      mode: 'lines',
      fill: 'toself',
      fillcolor: fill,
      line: { width: line ? 1 : 0, color: line ?? fill, dash: 'dot' },
      hoverinfo: 'skip',
    };
  };
  return [
    shade('expected band', metric.low, metric.high, colour('expected', 0.16), colour('expected', 0.5)),
    shade('readings', metric.min, metric.max, colour('band', 0.28)),
    {
      x: times,
      y: metric.expected,
      name: 'expected',
      type: 'scatter',
      mode: 'lines',
      line: { width: 1.5, dash: 'dash', color: colour('expected') },
      connectgaps: false,
      hoverinfo: 'skip',
    },
    { x: times, y: lonely(metric.mean), type: 'scatter', mode: 'markers', marker: { size: 4, color: main }, hoverinfo: 'skip' },
    {
      x: times,
      y: metric.mean,
      name: 'mean',
      type: 'scatter',
      mode: 'lines',
      line: { width: 2, color: main, shape: steps },
      connectgaps: false,
      customdata: hovers(series, metric),
      hovertemplate: '%{customdata}<extra></extra>',
    },
  ];
}

/** What the hover says of each step: time, value with unit, expectation. */
function hovers(series, metric) {
  const digits = decimalsOf(metric.mean);
  const unit = metric.unit;
  return metric.mean.map((mean, at) => {
    if (mean === null) return '';
    const lines = [timeText(series.times_ms[at]), `<b>${harmless(quantity(mean, unit, digits))}</b>`];
    if (metric.min[at] !== null && metric.min[at] !== metric.max[at])
      lines.push(harmless(`readings ${number(metric.min[at], digits)} to ${number(metric.max[at], digits)}`));
    if (metric.expected[at] !== null) {
      const band = `${number(metric.low[at], digits)} to ${number(metric.high[at], digits)}`;
      lines.push(harmless(`expected ${quantity(metric.expected[at], unit, digits)} (${band})`));
    }
    return lines.join('<br>');
  });
}

function rows(series, metric) {
  const digits = decimalsOf([...metric.mean, ...metric.max]);
  const column = (label, values) => ({ label, numeric: true, cell: (at) => number(values[at], digits) });
  return table(
    `${metric.label}${metric.unit ? `, in ${metric.unit}` : ''}, steps of ${series.step_ms / 60_000} min`,
    [
      { label: 'Time', head: true, cell: (at) => time(series.times_ms[at]) },
      column('Mean', metric.mean),
      column('Lowest', metric.min),
      column('Highest', metric.max),
      column('Expected', metric.expected),
      column('Band from', metric.low),
      column('to', metric.high),
      { label: 'Incident', cell: (at) => series.severity?.[at] ?? '' },
    ],
    series.times_ms.map((_, at) => at),
  );
}

/** A metric's heading: its label and, where that differs, the name that devices send. */
export function metricHeading(metric) {
  return [name(metric.label || metric.name), metric.unit && metric.unit !== '0/1' ? [' (', name(metric.unit), ')'] : null];
}

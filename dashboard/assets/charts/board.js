// All charts of one device over one span of time: a chart a metric and, where wanted, the methods. New answers are drawn into
// the charts that stand there; a span drawn in one of them holds for all.

import { h, put } from '../base/dom.js';
import { get } from '../base/api.js';
import { keep, trouble } from '../base/keep.js';
import { chart } from './chart.js';
import { methodsDrawing } from './methods.js';
import { metricDrawing, metricHeading } from './metric.js';

const POINTS = 1000;

/**
 * @param {{device: string, metrics?: string[], methods?: boolean, span: () => {from_ms, to_ms}, zoomed?, reset?, picked?, at?: () => number|null, loaded?: (series) => void}} options
 */
export function board({ device, metrics, methods, span, zoomed, reset, picked, at = () => null, loaded }) {
  const charts = new Map();
  const grid = h('div', { class: 'charts' });
  const note = h('div');
  const element = h('div', null, legend(), note, grid);
  let last = null;

  const kept = keep(
    async (signal) => {
      const { from_ms, to_ms } = span();
      const series = await get(
        ['devices', device, 'series'],
        { from_ms: Math.round(from_ms), to_ms: Math.round(to_ms), points: POINTS, metric: metrics },
        signal,
      );
      last = series;
      draw();
      loaded?.(series);
    },
    (error) => trouble(note, error),
  );

  function draw() {
    if (!last) return;
    put(note, last.metrics.length ? null : h('p', { class: 'empty' }, 'No metric came in this time. Choose a longer or an earlier one.'));
    const wanted = new Set();
    if (methods && last.metrics.length) {
      wanted.add('');
      chartOf('', 'What the methods said', 'whole strip').show(methodsDrawing(last, at()));
    }
    const order = metrics ? [...last.metrics].sort((a, b) => metrics.indexOf(a.name) - metrics.indexOf(b.name)) : last.metrics;
    for (const metric of order) {
      const key = `m${metric.name}`;
      wanted.add(key);
      chartOf(key, metricHeading(metric)).show(metricDrawing(last, metric, at()));
    }
    for (const [key, gone] of charts) {
      if (wanted.has(key)) continue;
      gone.element.remove();
      charts.delete(key);
    }
  }

  function chartOf(key, heading, extra) {
    if (!charts.has(key)) {
      const made = chart({ heading, class: extra, zoomed, reset, picked });
      charts.set(key, made);
      grid.append(made.element);
    }
    return charts.get(key);
  }

  return { element, now: kept.now, soon: kept.soon, redraw: draw };
}

function legend() {
  const item = (kind, text) => h('li', null, h('span', { class: `key key-${kind}`, 'aria-hidden': 'true' }), text);
  const list = h(
    'ul',
    { class: 'legend', 'aria-label': 'What the charts show' },
    item('mean', 'mean'),
    item('range', 'lowest to highest reading'),
    item('expected', 'expected'),
    item('band', 'expected band (no expectation while learning)'),
    item('incident', 'incident'),
  );
  const words =
    'Expected is what was predicted of each minute from those before it, so it goes along with a fault: where a metric should be then is told ' +
    'with the reasons. What stays outside the band is unusual.';
  return [list, h('p', { class: 'hint' }, words)];
}

// One chart in its frame: heading, the plot, a sentence that says what it shows, and the same numbers as a table. It is drawn
// when it comes into sight, and again when its data, the colours or its width change.

import { freshId, h, put, setText } from '../base/dom.js';
import { trouble } from '../base/keep.js';
import { CONFIG, plotly } from './plotly.js';

/**
 * @param {{heading: string|Node[], class?: string, zoomed?: (fromMs, toMs) => void, reset?: () => void, picked?: (ms) => void}} options
 * @returns {{element: Element, show: (drawing) => void}} a drawing: `{traces, layout: (width) => object, summary, readout, rows: () => Node}`
 */
export function chart({ heading, class: extra, zoomed, reset, picked }) {
  const id = freshId('chart');
  const plot = h('div', { class: 'plot', role: 'img', 'aria-labelledby': id });
  const readout = h('p', { class: 'readout' });
  const caption = h('figcaption');
  const tableBox = h('div');
  const asTable = h('details', { on: { toggle: fillTable } }, h('summary', null, 'Show as table'), tableBox);
  const element = h(
    'figure',
    { class: `chart ${extra ?? ''}` },
    h('div', { class: 'chart-head' }, h('h3', { id }, heading), readout),
    plot,
    caption,
    asTable,
  );
  if (extra?.includes('strip')) plot.classList.add('strip');
  let drawing = null;
  let dirty = false;
  let visible = false;
  let drawn = false;

  sight.observe(element);
  shown.set(element, (now) => {
    visible = now;
    if (visible && dirty) draw();
  });
  document.addEventListener('plenum-theme', () => later());

  function show(next) {
    drawing = next;
    setText(readout, next.readout ?? '');
    setText(caption, next.summary);
    plot.setAttribute('aria-description', next.summary);
    fillTable();
    later();
  }

  function later() {
    if (!drawing) return;
    dirty = true;
    if (visible) draw();
  }

  function fillTable() {
    // A table that somebody reads with the keyboard stays as it is until they leave it.
    if (tableBox.contains(document.activeElement)) return;
    if (asTable.open && drawing) put(tableBox, drawing.rows());
    else if (!asTable.open) put(tableBox);
  }

  async function draw() {
    dirty = false;
    try {
      const library = await plotly();
      const now = drawing;
      await library.react(plot, now.traces(), now.layout(plot.clientWidth), CONFIG);
      if (!drawn) listenTo();
      drawn = true;
    } catch (error) {
      trouble(plot, error);
    }
  }

  function listenTo() {
    plot.on('plotly_relayout', (change) => {
      const from = change['xaxis.range[0]'];
      const to = change['xaxis.range[1]'];
      if (from !== undefined && to !== undefined) zoomed?.(Math.round(from), Math.round(to));
    });
    plot.on('plotly_doubleclick', () => reset?.());
    plot.on('plotly_click', (event) => picked?.(event.points[0].x));
  }

  return { element, show };
}

const shown = new WeakMap();
const sight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) shown.get(entry.target)?.(entry.isIntersecting);
  },
  { rootMargin: '200px' },
);

// What the four methods and all of them together said over time: a strip a method, the darker the more unusual.

import { number, time, timeText } from '../base/format.js';
import { table } from '../base/table.js';
import { methodText } from '../base/words.js';
import { colour, layout, shapesOf } from './plotly.js';

const ORDER = ['consensus', 'similar', 'fingerprint', 'statistics', 'rules'];

/** How to draw the methods of a /series answer (see `chart.js`). */
export function methodsDrawing(series, atMs) {
  const known = ORDER.filter((method) => series.methods[method]);
  return {
    traces: () => [
      {
        type: 'heatmap',
        x: series.times_ms.map((start) => start + series.step_ms / 2),
        y: known.map(methodText),
        z: known.map((method) => series.methods[method]),
        zmin: 0,
        zmax: 1,
        ygap: 3,
        hoverongaps: false,
        colorscale: [
          [0, colour('sunk')],
          [1, colour('critical')],
        ],
        showscale: innerWidth > 600,
        colorbar: { thickness: 10, len: 1, outlinewidth: 0, tickvals: [0, 1], ticktext: ['as ever', 'never seen'], tickfont: { size: 11 } },
        customdata: known.map((method) => series.times_ms.map((start) => timeText(start))),
        hovertemplate: '%{customdata}<br>%{y}: %{z:.2f}<extra></extra>',
      },
    ],
    layout: (width) => ({
      ...layout(series, width - 190, {
        shapes: shapesOf({ ...series, incidents: [] }, atMs),
        hovermode: 'closest',
        margin: { l: 92, r: 10, t: 8, b: 36 },
      }),
      yaxis: { fixedrange: true, tickfont: { size: 12, color: colour('quiet') }, gridcolor: 'rgba(0,0,0,0)' },
    }),
    summary: sentence(series),
    rows: () =>
      table(
        'Highest score of each method, from 0 (as ever) to 1 (never seen)',
        [
          { label: 'Time', head: true, cell: (at) => time(series.times_ms[at]) },
          ...[...known]
            .reverse()
            .map((method) => ({ label: methodText(method), numeric: true, cell: (at) => number(series.methods[method][at], 2) })),
          { label: 'Severity', cell: (at) => series.severity?.[at] ?? '' },
        ],
        series.times_ms.map((_, at) => at),
      ),
  };
}

function sentence(series) {
  const all = series.methods.consensus ?? [];
  let top = -1;
  all.forEach((score, at) => {
    if (score !== null && (top < 0 || score > all[top])) top = at;
  });
  if (top < 0) return 'No state was judged in this time.';
  const unusual = (series.severity ?? []).filter(Boolean).length;
  const known = all.filter((score) => score !== null).length;
  return `Most unusual at ${timeText(series.times_ms[top])}: ${number(all[top], 2)} of 1. ${
    unusual ? `${unusual} of ${known} steps have a state with a severity.` : 'No step has a state with a severity.'
  }`;
}

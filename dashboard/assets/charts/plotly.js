// plotly.js, loaded when the first chart is drawn, and the colours and layout that all charts share.

import { ticks } from './shapes.js';

let loading = null;

/** The library; the same promise for all. */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = '/assets/plotly.js';
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("the charts' library could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

/** A colour of the style sheet as plotly understands it, with some transparency. */
export function colour(name, alpha = 1) {
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
  probe.remove();
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

/** Text from outside inside plotly's little markup: nothing of it is a tag, an entity or a placeholder. */
export function harmless(text) {
  return String(text ?? '').replace(/[&<>{}%$\\]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '%': '&#37;' })[sign] ?? '');
}

/** Fingers scroll the page; only a mouse draws a range. */
const DRAGS = matchMedia('(pointer: fine)').matches;

/** What the drawing needs to know of the page. */
export const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false, showTips: false };

/** The layout of a chart over a range of time. */
export function layout(range, width, more) {
  const at = ticks(range.from_ms, range.to_ms, Math.max(2, Math.floor(width / 85)));
  const line = colour('line');
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour('quiet') };
  return {
    margin: { l: 58, r: 14, t: 8, b: 36 },
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font,
    showlegend: false,
    dragmode: DRAGS ? 'zoom' : false,
    hovermode: 'x',
    hoverdistance: 40,
    hoverlabel: { bgcolor: colour('panel'), bordercolor: colour('control'), font: { ...font, color: colour('text') }, align: 'left' },
    ...more,
    xaxis: {
      range: [range.from_ms, range.to_ms],
      tickmode: 'array',
      tickvals: at.values,
      ticktext: at.texts,
      gridcolor: line,
      linecolor: line,
      zeroline: false,
      showspikes: true,
      spikemode: 'across',
      spikethickness: 1,
      spikedash: 'dot',
      spikecolor: colour('control'),
      spikesnap: 'data',
    },
    // The top is kept free for the words of incidents.
    yaxis: { domain: [0, 0.9], fixedrange: true, gridcolor: line, zeroline: false, tickfont: font, nticks: 6, ...more?.yaxis },
  };
}

const SHADES = { critical: 'critical', warning: 'warning', info: 'info' };

/** Incidents as shaded spans with their severity in words above, and the moment that is looked at as a line. */
export function shapesOf(series, atMs) {
  const shapes = series.incidents.map((incident) => ({
    type: 'rect',
    layer: 'below',
    xref: 'x',
    yref: 'paper',
    y0: 0,
    y1: 1,
    x0: Math.max(incident.started_at_ms, series.from_ms),
    x1: Math.min(incident.started_at_ms + incident.duration_ms, series.to_ms),
    fillcolor: colour(SHADES[incident.severity] ?? 'silent', 0.14),
    line: { width: 1, color: colour(SHADES[incident.severity] ?? 'silent', 0.7), dash: incident.status === 'open' ? 'dash' : 'solid' },
    label: {
      text: incident.severity,
      textposition: 'top left',
      padding: 2,
      font: { size: 11, color: colour(SHADES[incident.severity] ?? 'silent') },
    },
  }));
  if (atMs !== null && atMs !== undefined) {
    shapes.push({
      type: 'line',
      xref: 'x',
      yref: 'paper',
      x0: atMs,
      x1: atMs,
      y0: 0,
      y1: 1,
      line: { color: colour('text'), width: 2, dash: 'dot' },
    });
  }
  return shapes;
}

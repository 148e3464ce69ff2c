// A device against others of its type at the same time: ends, middle half and median of the type as a box, the device's own
// value as a point.

import { h, svg } from '../base/dom.js';
import { decimalsOf, number, quantity, time } from '../base/format.js';

const WIDTH = 400;
const MARGIN = 14;
const MIDDLE = 34;

/** Boxes of an incident's peak. */
export function peerBoxes(incident) {
  if (!incident.peers.length) {
    return h(
      'p',
      { class: 'empty' },
      'There is nothing to compare with: fewer than eight devices of its type were there at the same time.',
    );
  }
  return boxes(incident.peers);
}

/** One box a metric: `{metric, label, unit, at_ms, value, count, min, low, median, high, max}`. */
export function boxes(peers) {
  return [
    h(
      'p',
      { class: 'hint' },
      'Box: the middle half of all devices of its type; line in it: their median; whiskers: lowest and highest; point: this device.',
    ),
    h('div', { class: 'peers' }, peers.map(box)),
  ];
}

function box(peer) {
  const known = [peer.min, peer.low, peer.median, peer.high, peer.max, peer.value].filter((value) => value !== null);
  const digits = decimalsOf(known);
  const [from, to] = [Math.min(...known), Math.max(...known)];
  const x = (value) => MARGIN + (to > from ? (value - from) / (to - from) : 0.5) * (WIDTH - 2 * MARGIN);
  const line = (x1, y1, x2, y2, kind) => svg('line', { x1, y1, x2, y2, class: kind });
  const text = (value, y, kind) => {
    const at = x(value);
    return svg(
      'text',
      { x: at, y, class: kind, 'text-anchor': at < 60 ? 'start' : at > WIDTH - 60 ? 'end' : 'middle' },
      number(value, digits),
    );
  };
  const { min, low, median, high, max, value } = peer;
  const drawing = svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} 74`, 'aria-hidden': 'true', focusable: 'false' },
    line(x(min), MIDDLE, x(max), MIDDLE, 'line'),
    line(x(min), MIDDLE - 7, x(min), MIDDLE + 7, 'line'),
    line(x(max), MIDDLE - 7, x(max), MIDDLE + 7, 'line'),
    svg('rect', { x: x(low), y: MIDDLE - 11, width: Math.max(2, x(high) - x(low)), height: 22, class: 'box' }),
    line(x(median), MIDDLE - 11, x(median), MIDDLE + 11, 'median'),
    value !== null && svg('path', { d: `M${x(value)} ${MIDDLE - 8}l8 8-8 8-8-8z`, class: 'own' }),
    value !== null && text(value, 14, 'own-text'),
    text(median, 64, 'median-text'),
  );
  return h(
    'div',
    null,
    h('h3', null, h('bdi', null, peer.label)),
    drawing,
    h(
      'p',
      { class: 'hint' },
      'This device ',
      h('strong', null, quantity(value, peer.unit, digits)),
      ` at `,
      time(peer.at_ms),
      `; ${number(peer.count)} of its type: median ${quantity(median, peer.unit, digits)}, middle half ${number(low, digits)} to ${number(high, digits)}, ends ${number(min, digits)} and ${number(max, digits)}.`,
    ),
  );
}

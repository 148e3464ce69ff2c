// How the fleet stands, in six numbers; those that ask for something lead to the devices behind them.

import { h, setText } from '../base/dom.js';
import { number } from '../base/format.js';
import { href } from '../base/place.js';
import { sign } from '../base/words.js';

const TILES = [
  ['devices', 'devices', '/', null],
  ['critical', 'critical incidents', href('/', { severity: 'critical' }), 'critical'],
  ['warning', 'warnings', href('/', { severity: 'warning' }), 'warning'],
  ['info', 'infos', href('/', { severity: 'info' }), 'info'],
  ['silent', 'silent devices', href('/', { severity: 'silent' }), 'silent'],
  ['states', 'states a minute', '/pipeline', null],
];

/** The tiles and how they take a new answer of /fleet. */
export function tiles() {
  const values = {};
  const element = h(
    'ul',
    { class: 'tiles', 'aria-label': 'How the fleet stands' },
    TILES.map(([key, label, to, kind]) => {
      values[key] = h('span', { class: 'tile-value' }, '…');
      return h(
        'li',
        null,
        h('a', { href: to, class: `tile tile-${key}` }, values[key], ' ', h('span', { class: 'tile-label' }, kind && sign(kind), label)),
      );
    }),
  );
  const update = ({ counts }) => {
    const now = { devices: counts.devices, silent: counts.silent, states: counts.states_per_minute, ...counts.open };
    for (const [key, value] of Object.entries(values)) {
      setText(value, number(now[key]));
      value.parentElement.classList.toggle('none', !now[key]);
    }
  };
  return { element, update };
}

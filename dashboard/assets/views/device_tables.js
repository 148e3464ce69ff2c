// A device's numbers: what it shows now against what is expected, and what is usual for it.

import { h, name } from '../base/dom.js';
import { decimalsOf, number, quantity, time } from '../base/format.js';
import { table } from '../base/table.js';
import { plain } from '../base/words.js';

/** Every metric now, with what was expected of it and where it stands to the band around that in words. */
export function nowTable(device) {
  const digits = (metric) => decimalsOf([metric.value, metric.low, metric.high]);
  return table(
    'Newest values',
    [
      { label: 'Metric', head: true, cell: (metric) => name(metric.label) },
      { label: 'Value', numeric: true, cell: (metric) => quantity(metric.value, metric.unit === '0/1' ? '0/1' : null, digits(metric)) },
      { label: 'Unit', cell: (metric) => (metric.unit === '0/1' ? 'on or off' : name(metric.unit)) },
      {
        label: 'Expected',
        numeric: true,
        cell: (metric) => (metric.low === null || metric.high === null ? '–' : span(metric, digits(metric))),
      },
      { label: 'Now', cell: (metric) => h('span', { class: 'nowrap' }, standing(metric)) },
    ],
    device.metrics,
    { quiet: true, empty: 'It has sent no metric yet.' },
  );
}

/** What was expected of its newest window, and the band around that. */
function span(metric, digits) {
  return `${number(metric.expected, digits)} (${number(metric.low, digits)} to ${number(metric.high, digits)})`;
}

function standing(metric) {
  if (metric.value === null) return 'does not come';
  if (metric.low !== null && metric.value < metric.low) return h('span', { class: 'differs' }, '↓ below');
  if (metric.high !== null && metric.value > metric.high) return h('span', { class: 'differs' }, '↑ above');
  return metric.low === null ? '' : 'within';
}

const WORDS = { mean: 'Mean', std: 'Spread (s.d.)', min: 'Lowest', max: 'Highest', count: 'States' };

/** The profile as the store keeps it, whatever numbers it holds. */
export function profileTable(device) {
  if (!device.profile) {
    return h(
      'p',
      { class: 'empty' },
      'Nothing is known yet: it is learned from its first normal states, some six hours of minutes. Until then only rules report.',
    );
  }
  const { metrics, normal_states: states, updated_ms: updatedMs } = device.profile;
  const keys = [...new Set(metrics.flatMap(Object.keys))].filter((key) => !['name', 'label', 'unit'].includes(key));
  const digits = (metric) => decimalsOf(keys.filter((key) => key !== 'count').map((key) => metric[key]));
  return [
    h('p', { class: 'hint' }, `From ${number(states)} normal states, as of `, time(updatedMs), '. Of a counter, such as a meter, it is the increase per window.'),
    table(
      'What is usual',
      [
        { label: 'Metric', head: true, cell: (metric) => name(metric.label) },
        ...keys.map((key) => ({
          label: WORDS[key] ?? plain(key),
          numeric: true,
          cell: (metric) => number(metric[key], key === 'count' ? 0 : digits(metric)),
        })),
        { label: 'Unit', cell: (metric) => name(metric.unit) },
      ],
      metrics,
      { quiet: true, empty: 'No metric has been learned yet.' },
    ),
  ];
}

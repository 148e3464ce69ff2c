// An incident's lists: what it is about, how it went, what was like it before.

import { h, name } from '../base/dom.js';
import { number, percent, quantity, time } from '../base/format.js';
import { table } from '../base/table.js';
import { findingText } from '../base/words.js';
import { became } from './moment_parts.js';

/** Metrics by their part in it, with what was seen and expected. */
export function contributionTable(incident) {
  return table(
    'Metrics by their part in it',
    [
      { label: 'Metric', head: true, cell: (part) => name(part.label || part.metric) },
      { label: 'Part in it', numeric: true, cell: (part) => [bar(part.share), h('span', { class: 'share' }, percent(part.share))] },
      { label: 'Seen', numeric: true, cell: (part) => quantity(part.observed, part.unit) },
      { label: 'Expected', numeric: true, cell: (part) => quantity(part.expected, part.unit) },
      { label: 'Off by', numeric: true, cell: off },
      { label: 'What was found', cell: (part) => findingText(part.kind) },
    ],
    incident.contributions,
    { quiet: true, stack: true, empty: 'No single metric explains it: it is about the device as a whole.' },
  );
}

function off(part) {
  if (part.expected === null || part.observed === null) return '–';
  const by = part.observed - part.expected;
  const share = part.expected ? ` (${by > 0 ? '+' : ''}${number((by / Math.abs(part.expected)) * 100, 0)} %)` : '';
  return `${by > 0 ? '+' : ''}${quantity(by, part.unit === '0/1' ? '' : part.unit)}${Math.abs(by) > Math.abs(part.expected) * 100 ? '' : share}`;
}

function bar(share) {
  const width = Math.max(0, Math.min(1, share ?? 0)) * 100;
  return h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span', { style: { width: `${width}%` } }));
}

/** What happened, by time. */
export function timelineList(incident) {
  if (!incident.timeline.length) return h('p', { class: 'empty' }, 'Nothing is known but its start and end.');
  return h(
    'ol',
    { class: 'timeline' },
    incident.timeline.map((step) => h('li', null, time(step.at_ms), h('bdi', null, step.what))),
  );
}

/** Earlier states like its peak, with what became of them. */
export function similarList(incident) {
  return table(
    'Earlier states like its peak',
    [
      { label: 'When', head: true, cell: (state) => time(state.at_ms) },
      { label: 'Alike, -1 to 1', numeric: true, cell: (state) => number(state.cosine, 3) },
      { label: 'What became of it', cell: (state) => became(state.became) },
    ],
    incident.similar,
    { quiet: true, empty: 'No earlier state is like it: it was never seen before, or there are no vectors yet.' },
  );
}

// What a moment's answers look like: what became of an earlier state, and what the methods said.

import { h } from '../base/dom.js';
import { number, percent } from '../base/format.js';
import { incidentHref } from '../base/place.js';
import { table } from '../base/table.js';
import { badge, methodMeaning, methodText } from '../base/words.js';

/** A metric that is further from an earlier state than this share of its own size is marked. */
const APART = 0.1;

/** What became of an earlier state, with the way to its incident. */
export function became(outcome) {
  const text = h('bdi', null, outcome?.text ?? 'unknown');
  return outcome?.incident_id ? h('a', { href: incidentHref(outcome.incident_id) }, text) : text;
}

/** Whether two values of a metric differ enough to be pointed at. */
export function isApart(now, then) {
  return now !== null && then !== null && Math.abs(now - then) > APART * Math.max(Math.abs(now), Math.abs(then));
}

/** What an answer of /explain says of the state. */
export function explained(answer) {
  const verdicts = answer.verdicts ?? [];
  return [
    h(
      'p',
      null,
      badge(answer.severity),
      ` ${number(answer.readings)} readings; how unusual: ${number(answer.score, 2)} of 1`,
      answer.corrected ? '; corrected by late readings' : '',
      '.',
    ),
    table(
      'The four methods',
      [
        {
          label: 'Method',
          head: true,
          cell: (verdict) => [methodText(verdict.method), h('div', { class: 'hint' }, methodMeaning(verdict.method))],
        },
        { label: 'Score, 0 to 1', numeric: true, cell: (verdict) => number(verdict.score, 2) },
        {
          label: 'Says',
          cell: (verdict, at) =>
            verdict.warm_up < 1
              ? `learning, ${percent(verdict.warm_up)}`
              : verdict.severity
                ? [badge(verdict.severity), answer.votes?.[at] === false ? ' (does not count)' : '']
                : 'nothing to report',
        },
        {
          label: 'Why',
          wide: true,
          cell: (verdict) =>
            verdict.findings.length
              ? h(
                  'ul',
                  { class: 'findings' },
                  verdict.findings.map((finding) => h('li', null, h('bdi', null, finding.text))),
                )
              : '–',
        },
      ],
      verdicts,
      { quiet: true, stack: true, empty: 'No method has judged it.' },
    ),
  ];
}

// The job: whether it runs and keeps up, what became of every message, how late results are, what is kept for a restart.

import { get } from '../base/api.js';
import { h, name, put, section, title } from '../base/dom.js';
import { listen } from '../base/events.js';
import { bytes, counted, duration, number, time } from '../base/format.js';
import { keep, trouble } from '../base/keep.js';
import { delayTable, fateTable, lateTable, partitionTable } from './pipeline_tables.js';
import { href } from '../base/place.js';
import { table } from '../base/table.js';
import { plain, reasonText, sign } from '../base/words.js';

const LATE_LIMIT = 100;
const LATE_MS = 30_000;

export function start(main) {
  const place = {
    state: h('div'),
    partitions: h('div'),
    fates: h('div'),
    delays: h('div'),
    durable: h('div'),
    letters: h('div'),
    embedding: h('div'),
    late: h('div'),
  };
  put(
    main,
    title('Pipeline'),
    section('How it stands', null, place.state),
    section('Partitions', null, place.partitions),
    h(
      'div',
      { class: 'two' },
      section('What became of the messages', null, place.fates),
      section('How late results are', null, place.delays),
    ),
    h('div', { class: 'two' }, section('What is durable', null, place.durable), section('Dead letters', null, place.letters)),
    h('div', { class: 'two' }, section('Late readings and clocks', null, place.late), section('Texts and vectors', null, place.embedding)),
  );

  const show = (status) => {
    const busy = (part) => part.contains(document.activeElement) && document.activeElement !== document.body;
    const fill = (part, ...children) => busy(part) || put(part, ...children);
    fill(place.state, standing(status));
    fill(place.partitions, partitionTable(status));
    fill(place.fates, fateTable(status));
    fill(place.delays, delayTable(status.delays));
    fill(place.durable, durable(status));
    fill(place.letters, letters(status.dead_letters));
    fill(place.embedding, embedding(status.embedding));
  };
  const kept = keep(
    async (signal) => show(await get(['pipeline'], null, signal)),
    (error) => trouble(place.state, error),
  );
  listen('pipeline', show);
  keep(
    async (signal) => put(place.late, lateTable((await get(['late'], { limit: LATE_LIMIT }, signal)).devices)),
    (error) => trouble(place.late, error),
    { everyMs: LATE_MS, soonMs: LATE_MS },
  );
  return kept;
}

const STATES = {
  running: 'The job runs',
  finished: 'The job has read all there is and is finished',
  stopping: 'The job is stopping',
  waiting: 'The job waits',
};

function standing(status) {
  const { job } = status;
  const facts = [
    ['Source', name(status.source ?? '–')],
    ['Store', name(status.store ?? '–')],
    ['As of', time(status.as_of_ms, true)],
  ];
  if (!job) {
    return [
      h(
        'p',
        null,
        'No job runs in this server: it shows what is in the store. Its own ',
        h('code', null, '--http'),
        ' address shows a running job.',
      ),
      factList(facts),
    ];
  }
  facts.push(
    ['Started', time(job.started_ms)],
    ['Version', job.version],
    ['Workers', `${job.workers} in ${counted(job.processes, 'process', 'processes')}`],
  );
  const open = status.open_incidents;
  if (open) facts.push(['Open incidents', `${open.critical} critical, ${open.warning} warning, ${open.info} info`]);
  const ready = job.readiness;
  return [
    h(
      'p',
      { class: 'head-line' },
      h('strong', null, `${STATES[job.state] ?? plain(job.state)}. `),
      h(
        'span',
        null,
        sign(ready.ready ? 'fine' : 'warning'),
        ready.ready ? ' ready' : ' not ready',
        ready.why ? [': ', h('bdi', null, ready.why)] : '',
      ),
    ),
    factList(facts),
  ];
}

function factList(facts) {
  return h(
    'dl',
    { class: 'facts' },
    facts.map(([label, value]) => h('div', null, h('dt', null, label), h('dd', null, value))),
  );
}

function durable(status) {
  const { checkpoint, rows } = status;
  const facts =
    rows && status.job
      ? [
          ['Rows written', number(rows.written)],
          ['under way', number(rows.under_way)],
          ['refused by the store', number(rows.refused)],
        ]
      : [];
  if (!checkpoint)
    return [factList(facts), h('p', { class: 'hint' }, 'There is no checkpoint yet: a restart would begin where this run began.')];
  facts.push(
    ['Checkpoint', name(checkpoint.id)],
    ['cut', checkpoint.age_ms === null ? '–' : `${duration(checkpoint.age_ms)} ago`],
    ['at window', time(checkpoint.window_ms)],
    ['size', bytes(checkpoint.bytes)],
    ['took', duration(checkpoint.took_ms)],
  );
  return [
    factList(facts),
    h('p', { class: 'hint' }, 'A restart goes on from the checkpoint; what came after it is read again and written onto the same rows.'),
  ];
}

function letters(reasons) {
  return [
    table(
      'Dead letters by reason',
      [
        {
          label: 'Reason',
          head: true,
          cell: (one) => h('a', { href: href('/dead-letters', { reason: one.reason }) }, reasonText(one.reason)),
        },
        { label: 'Messages', numeric: true, cell: (one) => number(one.count) },
      ],
      reasons,
      { quiet: true, empty: 'Every message could be used.' },
    ),
    reasons.length > 0 && h('p', null, h('a', { href: '/dead-letters' }, 'Look at them, mend them, send them again')),
  ];
}

function embedding(counts) {
  if (!counts)
    return h(
      'p',
      { class: 'empty' },
      'No service makes vectors of texts here; the built-in projection does. Setting embedder turns one on.',
    );
  return factList(
    Object.entries(counts).map(([what, count]) => [plain(what), typeof count === 'number' ? number(count) : String(count ?? '–')]),
  );
}

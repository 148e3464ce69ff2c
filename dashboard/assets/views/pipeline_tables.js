// The pipeline's tables: partitions, fates, delays, late readings by device.

import { h, name } from '../base/dom.js';
import { duration, number, percent, time } from '../base/format.js';
import { deviceHref } from '../base/place.js';
import { table } from '../base/table.js';
import { sign } from '../base/words.js';

/** From here on a partition is pointed at. */
const BEHIND_MS = 300_000;

/** Where each partition is read, and how far behind it is. */
export function partitionTable(status) {
  return table(
    'Partitions',
    [
      { label: 'Partition', head: true, cell: (one) => String(one.partition) },
      {
        label: 'State',
        cell: (one) =>
          one.idle ? state('silent', 'idle') : one.behind_ms > BEHIND_MS ? state('warning', 'behind') : state('fine', 'read'),
      },
      { label: 'Messages to read', numeric: true, cell: (one) => number(one.lag) },
      { label: 'Next offset', numeric: true, cell: (one) => number(one.next_offset) },
      { label: 'End', numeric: true, cell: (one) => number(one.end_offset) },
      { label: 'Event time read', cell: (one) => time(one.watermark_ms, true) },
      { label: 'Behind', numeric: true, cell: (one) => duration(one.behind_ms) },
    ],
    status.partitions,
    { quiet: true, empty: status.job ? 'No partition is being read yet.' : 'No job reads at the moment.' },
  );
}

function state(kind, word) {
  return h('span', { class: 'nowrap' }, sign(kind), ` ${word}`);
}

const FATES = [
  ['windowed', 'in a state', 'used'],
  ['late', 'late', 'came after its minute was judged; kept apart'],
  ['duplicate', 'duplicate', 'the same reading came before'],
  ['skipped', 'skipped', 'no content'],
  ['dead_lettered', 'dead letter', "can't be used; kept with its bytes and the reason"],
];

/** Every message has exactly one fate. */
export function fateTable({ fates, job }) {
  if (!fates?.received) return h('p', { class: 'empty' }, job ? 'No message has been read yet.' : 'Only a running job counts them.');
  const of = (key) => (fates.received ? fates[key] / fates.received : 0);
  return table(
    `${number(fates.received)} messages received, each with one fate`,
    [
      { label: 'Fate', head: true, cell: ([, label]) => label },
      { label: 'Messages', numeric: true, cell: ([key]) => number(fates[key]) },
      { label: 'Share', numeric: true, cell: ([key]) => percent(of(key), 2) },
      { label: 'What it means', wide: true, cell: ([, , meaning]) => meaning },
    ],
    FATES,
  );
}

/** Quantiles of every delay that is measured. */
export function delayTable(delays) {
  const span = (label, key) => ({ label, numeric: true, cell: (one) => (one.count ? duration(one[key]) : '–') });
  return table(
    'Delays',
    [
      { label: 'From … to', head: true, cell: (one) => one.what },
      span('Half within', 'p50_ms'),
      span('90 of 100', 'p90_ms'),
      span('99 of 100', 'p99_ms'),
      span('Longest', 'max_ms'),
      { label: 'Measured', numeric: true, cell: (one) => number(one.count) },
    ],
    delays ?? [],
    { quiet: true, empty: "Only a live source is measured: a recording's times say nothing about the job." },
  );
}

/** Devices whose readings come late, or whose clocks differ. */
export function lateTable(devices) {
  return table(
    'Devices whose readings come late',
    [
      { label: 'Device', head: true, cell: (one) => h('a', { href: deviceHref(one.device_id) }, name(one.device_id)) },
      { label: 'Late readings', numeric: true, cell: (one) => number(one.late) },
      { label: 'Late by, median', numeric: true, cell: (one) => duration(one.late_by_ms_median) },
      { label: 'at most', numeric: true, cell: (one) => duration(one.late_by_ms_max) },
      { label: 'Clock', cell: (one) => h('span', { class: 'nowrap' }, clock(one)) },
    ],
    devices,
    { quiet: true, empty: 'No reading came late.' },
  );
}

function clock(one) {
  if (one.clock_skew_ms === null || one.clock_skew_ms === undefined) return 'not known';
  if (Math.abs(one.clock_skew_ms) < 1000) return 'right';
  return `${duration(Math.abs(one.clock_skew_ms))} ${one.clock_skew_ms > 0 ? 'ahead' : 'behind'}`;
}

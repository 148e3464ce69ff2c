// One device: how it is, its metrics over time, one moment compared with earlier ones, what is usual for it, its incidents.

import { get } from '../base/api.js';
import { dataTime } from '../base/connection.js';
import { h, name, put, section, title } from '../base/dom.js';
import { listen } from '../base/events.js';
import { ago, counted, number, percent, time } from '../base/format.js';
import { keep, trouble } from '../base/keep.js';
import { href, query, setQuery } from '../base/place.js';
import { badge } from '../base/words.js';
import { board } from '../charts/board.js';
import { range } from '../charts/range.js';
import { nowTable, profileTable } from './device_tables.js';
import { incidentTable } from './incident_table.js';
import { moment } from './moment.js';

const WINDOW_MS = 60_000;

/** It asks for the data's time itself. */
export const tellsDataTime = true;

export function start(main, id) {
  let device = null;
  let asOfMs = Date.now();
  let charts = null;
  const head = h('div');
  const body = h('div');
  put(main, head, body);

  const kept = keep(
    async (signal) => {
      const [answer, fleet] = await Promise.all([get(['devices', id], null, signal), get(['fleet'], { limit: 1 }, signal)]);
      device = answer;
      asOfMs = Math.max(fleet.as_of_ms ?? 0, device.last_seen_ms ?? 0);
      showHead(head, device, Math.max(dataTime(fleet), asOfMs));
      if (!charts) build();
      for (const update of updates) update();
    },
    (error) => trouble(main, error, h('p', null, h('a', { href: '/' }, 'To the fleet'))),
  );

  listen('states', (cards) => {
    if (!cards.some((card) => card.device_id === id)) return;
    kept.soon();
    if (charts && span.follows()) charts.soon();
  });
  listen('incident', (incident) => incident.device_id === id && kept.soon());

  /** Where "now" is: a device that has been silent for longer than a day is shown as it was when it spoke. */
  const newestMs = () => {
    const seen = (device.last_seen_ms ?? asOfMs) + WINDOW_MS;
    return asOfMs - seen > 86_400_000 ? seen : Math.max(asOfMs, seen);
  };
  let span = null;
  const updates = [];

  function build() {
    const at = { ms: Number(query().at) || null };
    span = range(newestMs, () => charts.now());
    const pick = (ms, scroll = true) => {
      at.ms = ms;
      setQuery({ at: ms });
      compared.show(ms, scroll);
      charts.redraw();
    };
    const compared = moment(id, pick);
    charts = board({
      device: id,
      methods: true,
      span: span.current,
      zoomed: span.set,
      reset: span.reset,
      picked: pick,
      at: () => at.ms,
      loaded: span.mark,
    });
    span.mark();
    const now = h('div');
    const profile = h('div');
    const incidents = h('div');
    updates.push(() => {
      compared.know(device);
      put(now, nowTable(device));
      put(profile, profileTable(device));
      put(
        incidents,
        incidentTable(device.incidents, { device: false, caption: 'Its newest incidents', empty: 'It never had an incident.' }),
      );
    });
    put(
      body,
      section(
        'Over time',
        null,
        span.element,
        h(
          'p',
          { class: 'hint' },
          'Draw a span in a chart to look closer, in all charts at once; a double click goes back. A click compares that moment with earlier ones.',
        ),
        charts.element,
      ),
      compared.element,
      h('div', { class: 'two' }, section('Now', null, now), section('What is usual for it', null, profile)),
      section('Incidents', null, incidents),
    );
    if (at.ms) compared.show(at.ms, false);
  }
}

function showHead(head, device, nowMs) {
  const facts = [
    ['Type', device.type_label],
    ['Building', name(device.building_id || '–')],
    ['Place', name(device.location || '–')],
    ['Last seen', [time(device.last_seen_ms, true), ` (${ago(device.last_seen_ms, nowMs)})`]],
    ['First seen', time(device.first_seen_ms)],
    ['How unusual', device.score === null ? '–' : `${number(device.score, 2)} of 1`],
    ['Learned', device.warm_up >= 1 ? 'yes' : `${percent(device.warm_up)}: only rules report until then`],
    ['States', `${number(device.totals.states)}, ${number(device.totals.unusual_states)} unusual`],
    ['Readings', `${number(device.totals.readings)}, ${counted(device.totals.duplicates, 'duplicate')} beside`],
  ];
  put(
    head,
    h(
      'div',
      { class: 'head-line' },
      title(device.device_id, name(device.device_id)),
      (device.severity || !device.silent) && badge(device.severity),
      device.silent && badge('silent'),
      h('a', { class: 'button', href: href('/maintenance', { device: device.device_id }) }, 'Plan maintenance'),
    ),
    h(
      'dl',
      { class: 'facts' },
      facts.map(([label, value]) => h('div', null, h('dt', null, label), h('dd', null, value))),
    ),
  );
}

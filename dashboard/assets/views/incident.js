// One incident: what it is, why, how it went, how its metrics ran around it, and what people say of it.

import { get } from '../base/api.js';
import { h, name, put, section, title } from '../base/dom.js';
import { listen } from '../base/events.js';
import { duration, number, time } from '../base/format.js';
import { keep, trouble } from '../base/keep.js';
import { deviceHref, href } from '../base/place.js';
import { badge, kindText, methodText } from '../base/words.js';
import { board } from '../charts/board.js';
import { contributionTable, similarList, timelineList } from './incident_parts.js';
import { maintenanceForm } from './maintenance_form.js';
import { peerBoxes } from './peer_boxes.js';
import { words } from './resolve.js';

/** What is shown before and after an incident: half as long again, but at least this. */
const AROUND_MS = 3_600_000;
const BEHIND_MS = 300_000;
/** Charts of the metrics that explain most. */
const MOST_CHARTS = 6;
/** Between what is said and what the job makes of it. */
const SOON_MS = 2000;

export function start(main, id) {
  let charts = null;
  let chartsKey = '';
  let incident = null;
  const head = h('div');
  const people = h('div');
  const parts = { timeline: h('div'), why: h('div'), peers: h('div'), charts: h('div'), similar: h('div'), maintenance: h('div') };
  const body = h('div');
  put(main, head, body);

  const kept = keep(
    async (signal) => {
      incident = await get(['incidents', id], null, signal);
      showHead(head, incident);
      if (!body.firstChild) build();
      show();
    },
    (error) => trouble(main, error, h('p', null, h('a', { href: '/incidents' }, 'To the incidents'))),
    { soonMs: SOON_MS },
  );

  listen('incident', (news) => news.id === id && kept.soon());
  listen('states', (cards) => incident?.status === 'open' && cards.some((card) => card.device_id === incident.device_id) && charts?.soon());

  function build() {
    put(
      body,
      section('What was it?', null, people),
      section('What it is about', null, parts.why),
      section('Against its peers', null, parts.peers),
      h(
        'div',
        { class: 'two' },
        section('How it went', null, parts.timeline),
        section('Earlier states like its peak', null, parts.similar),
      ),
      section('Around it', null, parts.charts),
      section('Maintenance', null, parts.maintenance),
    );
    const plan = maintenanceForm({ device: incident.device_id, fixed: true });
    put(parts.maintenance, h('details', null, h('summary', null, 'Plan maintenance of this device'), plan));
  }

  function show() {
    put(parts.why, contributionTable(incident));
    put(parts.timeline, timelineList(incident));
    put(parts.peers, peerBoxes(incident));
    put(parts.similar, similarList(incident));
    words(people, incident, kept.now);
    const metrics = [...new Set(incident.contributions.map((part) => part.metric).filter(Boolean))].slice(0, MOST_CHARTS);
    const key = metrics.join('\n');
    if (charts && key === chartsKey) return;
    chartsKey = key;
    charts = board({ device: incident.device_id, metrics, span, at: () => incident.peak_at_ms, methods: true });
    put(
      parts.charts,
      h(
        'p',
        { class: 'hint' },
        'The dotted line is the peak. ',
        h(
          'a',
          { href: deviceHref(incident.device_id, { ...pageSpan(), at: incident.peak_at_ms }) },
          'All metrics at this time, and the peak compared',
        ),
      ),
      charts.element,
    );
  }

  function span() {
    const end = incident.ended_at_ms;
    const around = Math.max(AROUND_MS, (end - incident.started_at_ms) / 2);
    // Behind the newest window of an open one there is nothing yet.
    return { from_ms: incident.started_at_ms - around, to_ms: end + (incident.status === 'open' ? BEHIND_MS : around) };
  }

  function pageSpan() {
    const { from_ms: from, to_ms: to } = span();
    return { from: Math.round(from), to: Math.round(to) };
  }
}

function showHead(head, incident) {
  const open = incident.status === 'open';
  const facts = [
    ['Device', [h('a', { href: deviceHref(incident.device_id) }, name(incident.device_id)), ` (${incident.type_label})`]],
    ['Building', name(incident.building_id ?? '–')],
    ['Place', name(incident.location ?? '–')],
    ['From', time(incident.started_at_ms)],
    [open ? 'Last unusual' : 'Until', time(incident.ended_at_ms)],
    ['Lasted', `${duration(incident.duration_ms)}${open ? ', still open' : ''}`],
    ['Detected', [time(incident.detected_at_ms), ` (after ${duration(incident.detected_at_ms - incident.started_at_ms)})`]],
    ['How unusual at its peak', `${number(incident.score, 2)} of 1`],
    ['Methods', incident.methods.map(methodText).join(', ') || '–'],
  ];
  put(
    head,
    h(
      'p',
      null,
      h('a', { href: '/incidents' }, 'Incidents'),
      ' · ',
      h('a', { href: href('/incidents', { device: incident.device_id }) }, 'all of this device'),
    ),
    h(
      'div',
      { class: 'head-line' },
      title(`${kindText(incident.kind)} – ${incident.device_id}`, `${kindText(incident.kind)}: `, name(incident.device_id)),
      badge(incident.severity),
      h('span', { class: 'tag' }, incident.status),
    ),
    h('p', null, h('bdi', null, incident.summary)),
    h(
      'dl',
      { class: 'facts' },
      facts.map(([label, value]) => h('div', null, h('dt', null, label), h('dd', null, value))),
    ),
  );
}

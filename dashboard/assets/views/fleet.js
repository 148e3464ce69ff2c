// The fleet: how it stands, filters, and its devices by trouble. What is shown changes in place as states come in; the order
// changes only while nobody points at the list or has moved into it.

import { get } from '../base/api.js';
import { dataTime } from '../base/connection.js';
import { h, put, setText, title } from '../base/dom.js';
import { listen } from '../base/events.js';
import { fold } from '../base/fold.js';
import { counted } from '../base/format.js';
import { keep, trouble } from '../base/keep.js';
import { query, setQuery, withQuery } from '../base/place.js';
import { showPager, scroller } from '../base/table.js';
import { deviceCard, deviceRow, rowHead } from './fleet_device.js';
import { filters } from './fleet_filters.js';
import { tiles } from './fleet_tiles.js';

/** Devices a page: enough to scroll through, few enough to be painted at once. */
const LIMIT = 200;

/** It asks for the data's time itself. */
export const tellsDataTime = true;

export function start(main) {
  let asked = query();
  let asOf = { ms: Date.now() };
  const shown = new Map();
  const top = tiles();
  const count = h('p', { class: 'count', role: 'status' });
  const reorder = h(
    'button',
    { type: 'button', class: 'reorder', hidden: true, on: { click: () => order(newest, true) } },
    'The order has changed: sort again',
  );
  const list = h('div', { class: 'devices' });
  const pages = h('div');
  let newest = null;

  const form = filters(asked, (changes) => {
    setQuery({ ...changes, offset: null });
    asked = query();
    shown.clear();
    kept.now();
  });
  put(
    main,
    title('Fleet'),
    top.element,
    fold('Filter and sort', location.search !== '', form.element),
    h('div', { class: 'list-head' }, count, reorder),
    list,
    pages,
  );

  const kept = keep(
    async (signal) => {
      const { building, type, severity, text, sort, offset } = asked;
      const fleet = await get(['fleet'], { building, type, severity, text, sort, offset, limit: LIMIT }, signal);
      asOf = { ms: dataTime(fleet), fleet };
      top.update(fleet);
      form.update(fleet);
      order(fleet, shown.size === 0);
    },
    (error) => trouble(list, error, h('p', null, h('a', { href: '/' }, 'Show the whole fleet'))),
  );

  listen('states', (cards) => {
    for (const card of cards) shown.get(card.device_id)?.update(card, asOf);
    if (cards.length) kept.soon();
  });
  listen('incident', kept.soon);
  setInterval(() => {
    if (asOf.fleet) asOf = { ...asOf, ms: dataTime(asOf.fleet) };
    for (const device of shown.values()) device.age(asOf);
  }, 5000);

  /** Takes over a new answer: in place where the same devices stand there, anew where `anyway` or nobody would be disturbed. */
  function order(fleet, anyway) {
    newest = fleet;
    const dense = asked.view === 'table';
    for (const card of fleet.devices) shown.get(card.device_id)?.update(card, asOf);
    const same = shown.size === fleet.devices.length && [...shown.keys()].every((id, at) => fleet.devices[at].device_id === id);
    if (!same && !anyway && isBusy(list)) {
      reorder.hidden = false;
      return;
    }
    reorder.hidden = true;
    const offset = Number(asked.offset) || 0;
    const filtered = fleet.total !== fleet.counts.devices;
    setText(
      count,
      filtered ? `${counted(fleet.total, 'device')} of ${fleet.counts.devices.toLocaleString('en')}` : counted(fleet.total, 'device'),
    );
    showPager(pages, offset, LIMIT, fleet.total, (to) => withQuery({ offset: to || null }));
    if (same && shown.size) return;
    const before = new Map(shown);
    shown.clear();
    const make = dense ? deviceRow : deviceCard;
    for (const card of fleet.devices) shown.set(card.device_id, before.get(card.device_id) ?? make(card, asOf));
    const elements = [...shown.values()].map((device) => device.element);
    if (!elements.length) put(list, nothing(fleet));
    else if (dense)
      put(
        list,
        scroller(
          'Devices',
          h('table', { class: 'fleet' }, h('caption', { class: 'unseen' }, 'Devices'), rowHead(), h('tbody', null, elements)),
        ),
      );
    else put(list, h('ul', { class: 'cards' }, elements));
  }
}

/** Whether moving what is in the list would take it from under somebody's mouse, finger or focus. */
function isBusy(list) {
  return list.matches(':hover') || list.contains(document.activeElement) || list.getBoundingClientRect().top < 0;
}

function nothing(fleet) {
  if (fleet.counts.devices === 0) {
    return h(
      'div',
      { class: 'empty' },
      h('p', null, 'No device has sent anything yet.'),
      h(
        'p',
        null,
        'They appear here as soon as their first minute is written. If nothing comes: the ',
        h('a', { href: '/pipeline' }, 'pipeline'),
        ' tells what is read, and ',
        h('code', null, 'dataflow doctor'),
        ' what is in the way.',
      ),
    );
  }
  return h(
    'div',
    { class: 'empty' },
    h('p', null, 'No device matches these filters.'),
    h('p', null, h('a', { href: '/' }, 'Show the whole fleet')),
  );
}

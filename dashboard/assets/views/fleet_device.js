// One device of the fleet, as a card or as a row. Both are made once and then changed text by text, so that a click that is
// under way, a selection or a focus is never lost to news.

import { h, name, put, setAttribute, setText } from '../base/dom.js';
import { ago, decimals, number, percent, quantity, timeText, utcText } from '../base/format.js';
import { deviceHref, incidentHref } from '../base/place.js';
import { badge, kindText } from '../base/words.js';

/** What both forms show of a device beside its numbers. */
function parts(card) {
  const badges = h('span', { class: 'badges' });
  const incident = h('span', { class: 'why' });
  const seen = h('span', { class: 'seen' });
  let key = '';
  let last = card;
  const update = (now, asOf) => {
    last = now;
    const state = JSON.stringify([
      now.severity,
      now.silent,
      now.incident?.id,
      now.incident?.summary,
      now.open_incidents,
      Math.floor((now.warm_up ?? 1) * 100),
    ]);
    if (state !== key) {
      key = state;
      put(badges, (now.severity || !now.silent) && badge(now.severity), now.silent && badge('silent'), learning(now));
      put(incident, reason(now));
    }
    age(asOf);
  };
  const age = (asOf) => {
    setText(seen, `seen ${ago(last.last_seen_ms, asOf.ms)}`);
    setAttribute(seen, 'title', `${timeText(last.last_seen_ms, true)} (${utcText(last.last_seen_ms)})`);
  };
  return { badges, incident, seen, update, age };
}

function learning(card) {
  if (card.warm_up === null || card.warm_up === undefined || card.warm_up >= 1) return null;
  return h(
    'span',
    { class: 'tag', title: 'What is usual for it is not known yet: only rules report' },
    `learning, ${percent(Math.floor(card.warm_up * 100) / 100)}`,
  );
}

function reason(card) {
  if (!card.incident) return null;
  const more = card.open_incidents > 1 ? ` and ${card.open_incidents - 1} more` : '';
  return h('a', { href: incidentHref(card.incident.id) }, `${kindText(card.incident.kind)}: `, h('bdi', null, card.incident.summary), more);
}

/** @returns {{element: Element, update: (card, asOf) => void, age: (asOf) => void}} */
export function deviceCard(card, asOf) {
  const part = parts(card);
  const where = h(
    'p',
    { class: 'where' },
    card.type_label,
    ' · ',
    name(card.building_id || 'no building'),
    card.location && [' · ', name(card.location)],
  );
  const values = h('dl', { class: 'values' });
  const slots = [];
  const score = h('span', { class: 'score', title: 'How unusual the newest state is, from 0 (as ever) to 1 (never seen)' });
  const element = h(
    'li',
    { class: 'card' },
    h('div', { class: 'card-head' }, h('h2', null, h('a', { href: deviceHref(card.device_id) }, name(card.device_id))), part.badges),
    where,
    part.incident,
    values,
    h('p', { class: 'card-foot' }, part.seen, score),
  );

  const update = (now, at) => {
    part.update(now, at);
    element.dataset.state = now.severity ?? (now.silent ? 'silent' : 'fine');
    now.metrics.forEach((metric, place) => {
      slots[place] ??= slot(values);
      setText(slots[place].label, metric.label);
      setText(slots[place].value, quantity(metric.value, metric.unit, metric.value === null ? undefined : decimals(metric.value)));
    });
    for (const gone of slots.splice(now.metrics.length)) gone.element.remove();
    setText(score, now.score === null ? '' : `unusual: ${number(now.score, 2)}`);
  };
  update(card, asOf);
  return { element, update, age: part.age };
}

function slot(values) {
  const label = h('dt');
  const value = h('dd');
  const element = h('div', null, label, value);
  values.append(element);
  return { element, label, value };
}

/** The headers of the dense table. */
export function rowHead() {
  const head = (label, numeric) => h('th', { scope: 'col', class: numeric && 'number' }, label);
  return h(
    'thead',
    null,
    h(
      'tr',
      null,
      head('Device'),
      head('State'),
      head('What'),
      head('Type'),
      head('Building'),
      head('Place'),
      head('Unusual, 0 to 1', true),
      head('Last seen', true),
    ),
  );
}

/** @returns the same as {@link deviceCard}, as a row of the dense table */
export function deviceRow(card, asOf) {
  const part = parts(card);
  const score = h('td', { class: 'number' });
  const element = h(
    'tr',
    null,
    h('th', { scope: 'row' }, h('a', { href: deviceHref(card.device_id) }, name(card.device_id))),
    h('td', null, part.badges),
    h('td', { class: 'wide' }, part.incident),
    h('td', null, card.type_label),
    h('td', null, name(card.building_id)),
    h('td', null, name(card.location)),
    score,
    h('td', { class: 'number' }, part.seen),
  );
  const update = (now, at) => {
    part.update(now, at);
    setText(score, number(now.score, 2));
  };
  update(card, asOf);
  return { element, update, age: part.age };
}

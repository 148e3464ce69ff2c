// Incidents, newest first, open ones before closed ones, with filters that stand in the address.

import { get } from '../base/api.js';
import { h, put, setText, title } from '../base/dom.js';
import { listen } from '../base/events.js';
import { filterForm, labelled, searchInput } from '../base/filter_form.js';
import { fold } from '../base/fold.js';
import { counted, fromInput, toInput } from '../base/format.js';
import { keep, trouble } from '../base/keep.js';
import { query, setQuery, withQuery } from '../base/place.js';
import { showPager } from '../base/table.js';
import { kinds } from '../base/words.js';
import { incidentTable } from './incident_table.js';

const LIMIT = 100;

export function start(main) {
  let asked = query();
  const count = h('p', { class: 'count', role: 'status' });
  const list = h('div');
  const pages = h('div');
  const news = h(
    'button',
    { type: 'button', class: 'reorder', hidden: true, on: { click: () => show(newest) } },
    'The list has changed: show it',
  );
  let shownKey = null;
  let newest = null;
  const form = filters(asked, (changes) => {
    setQuery({ ...changes, offset: null });
    asked = query();
    shownKey = null;
    kept.now();
  });
  put(main, title('Incidents'), fold('Filter', location.search !== '', form), h('div', { class: 'list-head' }, count, news), list, pages);

  const kept = keep(
    async (signal) => {
      const { status, severity, kind, building, type, device, text, from, to, offset } = asked;
      const answer = await get(
        ['incidents'],
        { status, severity, kind, building, type, device, text, from_ms: from, to_ms: to, offset, limit: LIMIT },
        signal,
      );
      setText(count, counted(answer.total, 'incident'));
      newest = answer;
      const order = answer.incidents.map((incident) => incident.id).join();
      // What stands under somebody's mouse or focus stays there until they ask.
      const busy = list.matches(':hover') || list.contains(document.activeElement);
      if (shownKey !== null && shownKey !== order && busy) news.hidden = false;
      else show(answer);
    },
    (error) => trouble(list, error, h('p', null, h('a', { href: '/incidents' }, 'Show all incidents'))),
  );

  function show(answer) {
    news.hidden = true;
    const key = answer.incidents.map((incident) => incident.id).join();
    const text = JSON.stringify(answer.incidents);
    if (list.dataset.shown !== text || shownKey === null) {
      list.dataset.shown = text;
      if (shownKey !== key || !list.contains(document.activeElement))
        put(list, incidentTable(answer.incidents, { caption: 'Incidents', empty: nothing(answer) }));
    }
    shownKey = key;
    showPager(pages, Number(asked.offset) || 0, LIMIT, answer.total, (to) => withQuery({ offset: to || null }));
  }

  listen('incident', kept.soon);
}

function nothing() {
  const filtered = Object.keys(query()).length > 0;
  return filtered
    ? h('span', null, 'No incident matches these filters. ', h('a', { href: '/incidents' }, 'Show all'), '.')
    : 'No incident so far. Devices are learned for their first six hours or so; until then only broken rules open one.';
}

function filters(asked, changed) {
  const select = (name, all, options) =>
    h(
      'select',
      { name },
      [['', all], ...options].map(([value, label]) => h('option', { value, selected: value === (asked[name] ?? '') }, label)),
    );
  const status = select('status', 'open and closed', [
    ['open', 'open'],
    ['closed', 'closed'],
  ]);
  const severity = select('severity', 'any', [
    ['critical', 'critical'],
    ['critical,warning', 'warning or critical'],
    ['warning', 'warning'],
    ['info', 'info'],
  ]);
  const kind = select('kind', 'any', [
    ...kinds.map((one) => [one.name, one.text]),
    ...(asked.kind && !kinds.some((one) => one.name === asked.kind) ? [[asked.kind, asked.kind]] : []),
  ]);
  const text = searchInput(asked.text, 'name, reason');
  const time = (value) => h('input', { type: 'datetime-local', value: Number(value) ? toInput(Number(value)) : '' });
  const [from, to] = [time(asked.from), time(asked.to)];
  const device = asked.device;
  const tell = () =>
    changed({
      status: status.value,
      severity: severity.value,
      kind: kind.value,
      text: text.value.trim(),
      from: fromInput(from.value),
      to: fromInput(to.value),
    });
  return filterForm(
    'Filter the incidents',
    text,
    tell,
    labelled('Find', text),
    labelled('Status', status),
    labelled('Severity', severity),
    labelled('Kind', kind),
    labelled('Lasts from', from),
    labelled('until', to),
    device &&
      h('p', null, 'Only of ', h('bdi', null, device), ' ', h('a', { href: withQuery({ device: null, offset: null }) }, 'of all devices')),
  );
}

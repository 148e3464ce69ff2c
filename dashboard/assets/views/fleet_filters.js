// The fleet's filters: a form whose values stand in the address.

import { h, put } from '../base/dom.js';
import { filterForm, labelled, searchInput } from '../base/filter_form.js';
import { counted } from '../base/format.js';
import { sign } from '../base/words.js';

const SEVERITIES = [
  ['critical', 'critical'],
  ['warning', 'warning'],
  ['info', 'info'],
  ['silent', 'silent'],
  ['none', 'nothing unusual'],
];
const SORTS = [
  ['trouble', 'trouble first'],
  ['device', 'name'],
  ['last_seen', 'last seen'],
  ['building', 'building'],
];

/**
 * @param {object} asked the address's query
 * @param {(changes: object) => void} changed
 */
export function filters(asked, changed) {
  const building = h('select', { name: 'building' });
  const type = h('select', { name: 'type' });
  const text = searchInput(asked.text, 'name, place, type');
  const sort = h(
    'select',
    { name: 'sort' },
    SORTS.map(([value, label]) => option(value, label, (asked.sort ?? 'trouble') === value)),
  );
  const view = h(
    'select',
    { name: 'view' },
    option('cards', 'cards', asked.view !== 'table'),
    option('table', 'table', asked.view === 'table'),
  );
  const wanted = new Set((asked.severity ?? '').split(',').filter(Boolean));
  const boxes = SEVERITIES.map(([value, label]) =>
    h(
      'label',
      { class: 'check' },
      h('input', { type: 'checkbox', name: 'severity', value, checked: wanted.has(value) }),
      sign(value === 'none' ? 'fine' : value),
      label,
    ),
  );
  choices(building, asked.building, [], 'all buildings');
  choices(type, asked.type, [], 'all types');

  const tell = () =>
    changed({
      text: text.value.trim(),
      building: building.value,
      type: type.value,
      severity: boxes
        .map((box) => box.firstChild)
        .filter((box) => box.checked)
        .map((box) => box.value)
        .join(','),
      sort: sort.value === 'trouble' ? null : sort.value,
      view: view.value === 'table' ? 'table' : null,
    });
  const element = filterForm(
    'Filter the fleet',
    text,
    tell,
    labelled('Find', text),
    labelled('Building', building),
    labelled('Type', type),
    h('fieldset', { class: 'checks' }, h('legend', null, 'State'), boxes),
    labelled('Sort by', sort),
    labelled('Show as', view),
  );

  const update = (fleet) => {
    choices(
      building,
      building.value,
      fleet.buildings.map((one) => [one.id, `${one.id || '(none)'}: ${share(one)}`]),
      'all buildings',
    );
    choices(
      type,
      type.value,
      fleet.types.map((one) => [one.name, `${one.label}: ${share(one)}`]),
      'all types',
    );
  };
  return { element, update };
}

const share = (part) => counted(part.devices, 'device') + (part.in_incident ? `, ${part.in_incident} in incident` : '');

function option(value, label, selected) {
  return h('option', { value, selected }, label);
}

/** Fills a list of choices where it differs; one that stands in the address stays, also before anything is known of it. */
function choices(select, chosen, options, all) {
  const wanted = [['', all], ...options];
  if (chosen && !options.some(([value]) => value === chosen)) wanted.push([chosen, chosen]);
  const key = JSON.stringify(wanted);
  if (select.dataset.key === key) return;
  // A list that is open would close under the hand.
  if (document.activeElement === select && select.dataset.key) return;
  select.dataset.key = key;
  put(
    select,
    wanted.map(([value, label]) => option(value, label, value === (chosen ?? ''))),
  );
}

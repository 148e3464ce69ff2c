// Announces work on a device or a building: states are judged, but no incident opens meanwhile.

import { freshId, h, put } from '../base/dom.js';
import { fromInput, toInput } from '../base/format.js';
import { trouble } from '../base/keep.js';
import { write } from '../base/token.js';

const HOUR = 3_600_000;

/** @param {{device?: string, building?: string, fixed?: boolean, done?: () => void, nowMs?: number}} options `fixed`: for that device only */
export function maintenanceForm({ device, building, fixed, done, nowMs = Date.now() }) {
  const start = Math.ceil(nowMs / (HOUR / 2)) * (HOUR / 2);
  const what = h(
    'select',
    null,
    h('option', { value: 'device' }, 'device'),
    h('option', { value: 'building', selected: Boolean(building) && !device }, 'whole building'),
  );
  const id = h('input', {
    type: 'text',
    required: true,
    maxlength: '256',
    value: device ?? building ?? '',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const from = h('input', { type: 'datetime-local', required: true, value: toInput(start) });
  const to = h('input', { type: 'datetime-local', required: true, value: toInput(start + 2 * HOUR) });
  const note = h('input', { type: 'text', maxlength: '2000', placeholder: 'filter change' });
  const result = h('div', { role: 'status' });
  const form = h(
    'form',
    { class: 'controls', on: { submit: send } },
    fixed ? null : [labelled('Work on a', what), labelled('Its name', id)],
    labelled('From', from),
    labelled('To', to),
    labelled('What is done', note),
    h('button', { type: 'submit', class: 'main' }, 'Announce'),
  );

  async function send(event) {
    event.preventDefault();
    const [begin, end] = [fromInput(from.value), fromInput(to.value)];
    if (begin === null || end === null || end <= begin) {
      put(result, h('p', { class: 'panel problem' }, 'The end has to lie behind the start.'));
      return;
    }
    const on = fixed || what.value === 'device' ? { device_id: fixed ? device : id.value.trim() } : { building_id: id.value.trim() };
    put(result, h('p', { class: 'quiet' }, 'Sending …'));
    try {
      const answer = await write(['maintenance'], { ...on, from_ms: begin, to_ms: end, note: note.value.trim() });
      if (answer) {
        put(
          result,
          h(
            'p',
            { class: 'panel done' },
            h('strong', null, 'Announced. '),
            answer.takes_effect ? ['It takes effect: ', h('bdi', null, answer.takes_effect)] : 'A running job takes it up within seconds.',
          ),
        );
        done?.();
      } else put(result);
    } catch (error) {
      trouble(result, error);
    }
  }

  return h(
    'div',
    null,
    h(
      'p',
      { class: 'hint' },
      "While it lasts, states are still judged and shown, but no incident opens. Times are in your zone. It can't be taken back; it ends by itself.",
    ),
    form,
    result,
  );
}

function labelled(label, control) {
  control.id = freshId('plan');
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
}

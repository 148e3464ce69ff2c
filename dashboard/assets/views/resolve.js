// What people say of an incident: three buttons, each with a dialog that tells what it does and takes a note.

import { ask } from '../base/dialog.js';
import { freshId, h, put } from '../base/dom.js';
import { time } from '../base/format.js';
import { trouble } from '../base/keep.js';
import { write } from '../base/token.js';
import { resolutionText } from '../base/words.js';

const CHOICES = [
  {
    as: 'fault',
    button: 'A real fault',
    heading: 'It was a real fault',
    does: 'The incident is kept as a fault. If somebody called such incidents of this device false before, its bar goes back to normal.',
  },
  {
    as: 'false-positive',
    button: 'A false positive',
    heading: 'It was a false positive',
    does: 'Nothing was wrong. For incidents of this kind and metric, this device\'s bar is raised by half, up to four times the normal one; other devices are not touched. "A real fault" takes that back.',
  },
  {
    as: 'maintenance',
    button: 'Maintenance',
    heading: 'It was maintenance',
    does: 'Somebody worked on the device. The incident is kept as maintenance; no bar changes. For work that is still to come, plan maintenance below: then no incident opens.',
  },
];

const answers = new WeakMap();

/** Shows what has been said and the buttons; `again` loads the incident anew. */
export function words(place, incident, again) {
  const key = JSON.stringify([incident.resolution, incident.note, incident.asked, incident.status]);
  // Buttons that have the focus stay while nothing has changed.
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const focused = [...place.querySelectorAll('button')].indexOf(document.activeElement);
  const result = h('div', { role: 'status' });
  if (answers.has(place)) put(result, answers.get(place));
  put(
    place,
    state(incident),
    h(
      'div',
      { class: 'actions' },
      CHOICES.map((choice) =>
        h(
          'button',
          {
            type: 'button',
            class: 'say',
            'aria-haspopup': 'dialog',
            on: { click: () => say(choice) },
          },
          choice.button,
        ),
      ),
    ),
    result,
  );
  if (focused >= 0) place.querySelectorAll('button')[focused]?.focus();

  async function say(choice) {
    const note = h('textarea', { id: freshId('note'), rows: '3', maxlength: '2000' });
    const form = await ask(choice.heading, choice.button, (inside) =>
      inside.append(
        h('p', null, choice.does),
        h(
          'p',
          null,
          'A running job takes it up within seconds, in front of the next minute that it has not judged yet; without one it waits for the next run. It can be changed by saying something else later.',
        ),
        h('div', { class: 'field' }, h('label', { for: note.id }, 'Note (what it was, who looked)'), note),
      ),
    );
    if (!form) return;
    put(result, h('p', { class: 'quiet' }, 'Sending …'));
    try {
      const answer = await write(['incidents', incident.id, 'resolution'], { as: choice.as, note: note.value.trim() });
      put(result, answer && (answers.set(place, done(choice, answer)), answers.get(place)));
      if (answer) again();
    } catch (error) {
      trouble(result, error);
    }
  }
}

function done(choice, answer) {
  return h(
    'p',
    { class: 'panel done' },
    h('strong', null, `Noted as ${resolutionText(choice.as)}. `),
    'It takes effect: ',
    h('bdi', null, answer.takes_effect),
  );
}

function state(incident) {
  const note = (text) => text && [': “', h('bdi', null, text), '”'];
  const lines = [];
  if (incident.resolution)
    lines.push(h('p', null, 'People said it was ', h('strong', null, resolutionText(incident.resolution)), note(incident.note), '.'));
  if (incident.asked) {
    lines.push(
      h(
        'p',
        null,
        'Asked for: ',
        h('strong', null, resolutionText(incident.asked.as)),
        note(incident.asked.note),
        incident.asked.asked_at_ms ? [', ', time(incident.asked.asked_at_ms)] : null,
        '. It waits to take effect.',
      ),
    );
  }
  if (!lines.length) lines.push(h('p', null, 'Nobody has said yet what it was. That helps the next one: say it when you know.'));
  return lines;
}

// A form of filters whose values stand in the address: each change is told at once, what is typed after a short rest.

import { freshId, h } from './dom.js';

/** While somebody types. */
const PAUSE_MS = 250;

/** The field that free text is typed into. */
export function searchInput(value, placeholder) {
  return h('input', { type: 'search', name: 'text', value: value ?? '', placeholder, autocomplete: 'off', spellcheck: 'false' });
}

/**
 * @param {string} label what a screen reader calls the form
 * @param {HTMLInputElement} text the one control that is typed into
 * @param {() => void} tell called when a value has changed
 * @param {...Node} fields what the form shows, in order
 */
export function filterForm(label, text, tell, ...fields) {
  let timer = null;
  text.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(tell, PAUSE_MS);
  });
  return h(
    'form',
    {
      class: 'filters',
      role: 'search',
      'aria-label': label,
      on: {
        submit: (event) => {
          event.preventDefault();
          tell();
        },
        change: (event) => event.target !== text && tell(),
      },
    },
    fields,
  );
}

/** A control under its label. */
export function labelled(label, control) {
  control.id = freshId('filter');
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
}

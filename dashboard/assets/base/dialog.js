// A question in front of the page: the browser's own modal dialog, so that focus stays inside, Escape closes it, and focus
// goes back to where it was.

import { freshId, h } from './dom.js';

/**
 * @param {string} heading
 * @param {string} yes the word on the button that does it
 * @param {(form: HTMLFormElement) => void} build fills the form
 * @returns {Promise<HTMLFormElement|null>} the form as it was filled in; `null` where the person thought better of it
 */
export function ask(heading, yes, build) {
  const id = freshId('dialog');
  const form = h('form', { method: 'dialog' });
  const dialog = h('dialog', { 'aria-labelledby': id }, h('h2', { id }, heading), form);
  build(form);
  const back = document.activeElement;
  return new Promise((resolve) => {
    let answer = null;
    form.append(
      h(
        'div',
        { class: 'actions' },
        h('button', { type: 'submit', class: 'main' }, yes),
        h('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel'),
      ),
    );
    form.addEventListener('submit', () => {
      answer = form;
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      if (back?.isConnected) back.focus();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// What is folded away on a narrow screen, so that the content comes first there; on a wide one it simply stands there.

import { h } from './dom.js';

const WIDE = matchMedia('(min-width: 641px)');

/** @param {boolean} open whether it is open on a narrow screen, too */
export function fold(label, open, ...children) {
  const element = h('details', { class: 'fold', open: WIDE.matches || open }, h('summary', null, label), ...children);
  WIDE.addEventListener('change', () => {
    if (WIDE.matches) element.open = true;
  });
  return element;
}

// Tables: a caption, headers that screen readers connect, numbers in columns that line up, and a frame that scrolls by itself
// on narrow screens, so that the page never does.

import { h, put } from './dom.js';

/**
 * @param {string} caption what the table is, always said and shown unless `quiet`
 * @param {{label: string|Node, numeric?: boolean, wide?: boolean, head?: boolean, title?: string, cell: (row: any, at: number) => any}[]} columns `head`: the row's name; `wide`: sentences
 * @param {any[]} rows
 * @param {{quiet?: boolean, class?: string, stack?: boolean, empty?: string|Node}} options `stack`: on a narrow screen each row is
 *   a block of lines with the columns' names; the roles are spelled out, for a changed display would take them away
 */
export function table(caption, columns, rows, options = {}) {
  if (!rows.length && options.empty) return h('p', { class: 'empty' }, options.empty);
  const role = (name) => options.stack && name;
  const head = columns.map((column) =>
    h('th', { scope: 'col', role: role('columnheader'), class: column.numeric && 'number', title: column.title }, column.label),
  );
  const body = rows.map((row, at) =>
    h(
      'tr',
      { role: role('row') },
      columns.map((column) => {
        const attributes = {
          class: column.numeric ? 'number' : column.wide && 'wide',
          role: role(column.head ? 'rowheader' : 'cell'),
          'data-label': options.stack && typeof column.label === 'string' ? column.label : null,
        };
        return column.head ? h('th', { scope: 'row', ...attributes }, column.cell(row, at)) : h('td', attributes, column.cell(row, at));
      }),
    ),
  );
  return scroller(
    caption,
    h(
      'table',
      { class: [options.class, options.stack && 'stack'].filter(Boolean).join(' ') || null, role: role('table') },
      h('caption', { class: options.quiet && 'unseen' }, caption),
      h('thead', { role: role('rowgroup') }, h('tr', { role: role('row') }, head)),
      h('tbody', { role: role('rowgroup') }, body),
    ),
  );
}

/** A frame that scrolls sideways and can be reached by keyboard for it. */
export function scroller(label, ...children) {
  return h('div', { class: 'scroller', role: 'group', tabindex: '0', 'aria-label': label }, ...children);
}

/** Links to the parts of a long list, put into a place where they have changed; nothing where one part holds all. */
export function showPager(place, offset, limit, total, hrefOf) {
  const key = `${offset} ${total} ${location.search}`;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  put(place, total > limit || offset > 0 ? pager(offset, limit, total, hrefOf) : null);
}

function pager(offset, limit, total, hrefOf) {
  const last = Math.min(offset + limit, total);
  const link = (text, to, possible) =>
    possible ? h('a', { class: 'button', href: hrefOf(to) }, text) : h('span', { class: 'button off', 'aria-hidden': 'true' }, text);
  return h(
    'nav',
    { class: 'pager', 'aria-label': 'Parts of the list' },
    link('Previous', Math.max(0, offset - limit), offset > 0),
    h(
      'span',
      null,
      total ? `${(offset + 1).toLocaleString('en')} to ${last.toLocaleString('en')} of ${total.toLocaleString('en')}` : 'none',
    ),
    link('Next', offset + limit, last < total),
  );
}

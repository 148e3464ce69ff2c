// One dead letter: where it came from, why it can't be used, its bytes as text and as hex, and a field to mend it.

import { freshId, h, put } from '../base/dom.js';
import { bytes, number, time } from '../base/format.js';
import { plain, reasonText } from '../base/words.js';

/** Bytes a line, as hex tools show them. */
const LINE = 16;
/** Of a long message the beginning tells enough. */
const MOST_BYTES = 4096;

/**
 * @param {object} one a letter of /dead-letters
 * @param {(chosen: {text: () => string|null}|null) => void} choose `text`: the mended message, `null` where the bytes go as they were
 */
export function letter(one, choose) {
  const field = h('textarea', { id: freshId('mend'), rows: '4', class: 'mono', spellcheck: 'false' });
  field.value = one.text ?? '';
  const whole = (one.text ?? '').length > 0 && !one.text.includes('\ufffd') && one.bytes <= MOST_BYTES;
  const mend = h(
    'details',
    null,
    h('summary', null, 'Change the text before it is sent'),
    h('div', { class: 'field' }, h('label', { for: field.id }, 'Message'), field),
    whole
      ? null
      : h(
          'p',
          { class: 'hint' },
          'The text shown is not all of the bytes, or not exactly: if you change it, what is sent is what stands here.',
        ),
  );
  const edited = { text: () => (field.value === (one.text ?? '') ? null : field.value) };
  const where = `${one.topic ? `${one.topic} ` : ''}partition ${one.partition}, offset ${number(one.offset)}`;
  const box = h('input', { type: 'checkbox', on: { change: () => choose(box.checked ? edited : null) } });
  const shown = h('div');
  const as = (kind) => {
    put(
      shown,
      kind === 'hex'
        ? h('pre', { class: 'bytes hex', tabindex: '0' }, hex(one.bytes_base64))
        : h('pre', { class: 'bytes', tabindex: '0' }, one.text ?? ''),
    );
    for (const button of [asText, asHex]) button.setAttribute('aria-pressed', String((button === asHex) === (kind === 'hex')));
  };
  const asText = h('button', { type: 'button', on: { click: () => as('text') } }, 'Text');
  const asHex = h('button', { type: 'button', on: { click: () => as('hex') } }, 'Hex');
  as('text');
  return h(
    'li',
    null,
    h(
      'div',
      { class: 'letter-head' },
      h('label', { class: 'check' }, box, h('strong', null, h('bdi', null, where))),
      time(one.broker_time_ms, true),
      h('span', { class: 'quiet' }, bytes(one.bytes)),
    ),
    h(
      'p',
      null,
      h('strong', null, reasonText(one.reason)),
      ` (${plain(one.reason)})`,
      one.detail ? [': ', h('bdi', null, one.detail)] : null,
    ),
    h('div', { role: 'group', 'aria-label': 'Show the bytes as' }, asText, ' ', asHex),
    shown,
    mend,
  );
}

/** Offset, sixteen bytes in hex, the same as characters where they are printable ASCII. */
export function hex(base64) {
  const raw = Uint8Array.from(atob(base64 ?? ''), (sign) => sign.charCodeAt(0));
  const lines = [];
  for (let at = 0; at < Math.min(raw.length, MOST_BYTES); at += LINE) {
    const part = [...raw.subarray(at, at + LINE)];
    const codes = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const signs = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${codes.padEnd(LINE * 3 - 1)}  ${signs}`);
  }
  if (raw.length > MOST_BYTES) lines.push(`… ${raw.length - MOST_BYTES} bytes more`);
  return lines.join('\n') || '(empty)';
}

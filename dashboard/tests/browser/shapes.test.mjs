// The arithmetic of charts and texts, run where it is used: in the browser, with the clock of a zone that changes it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { closeBrowser, folder, open, run, serve } from './tools.mjs';

let server;
let page;
before(async () => {
  const where = folder();
  const store = `sqlite:${join(where, 'small.db')}`;
  run('simulate', '--to', join(where, 'small.jsonl'), '--duration', '5min', '--period', '60s');
  run('-w', '1', '--source', `file:${join(where, 'small.jsonl')}`, '--store', store);
  server = await serve(['dashboard', '--store', store]);
  page = await open();
  await page.goto(`${server.base}/maintenance`);
});
after(async () => {
  await closeBrowser();
  server?.kill();
});

/** What a function of the pages gives. */
const of = (file, name, ...args) =>
  page.evaluate(async ([file, name, args]) => (await import(`/assets/${file}`))[name](...args), [file, name, args]);

test('areas end where nothing came', async () => {
  const outline = await of('charts/shapes.js', 'area', [1, 2, 3, 4, 5, 6], [10, 11, null, 13, 14, null], [20, 21, 22, 23, 24, 25]);
  assert.deepEqual(outline, { x: [1, 2, 2, 1, null, 4, 5, 5, 4], y: [20, 21, 11, 10, null, 23, 24, 14, 13] });
  assert.deepEqual(await of('charts/shapes.js', 'area', [1, 2], [null, null], [1, 2]), { x: [], y: [] });
});

test('points that stand alone are shown as points', async () => {
  assert.deepEqual(await of('charts/shapes.js', 'lonely', [1, null, 3, 4, null, 6]), [1, null, null, null, null, 6]);
});

test("ticks are at round times of the viewer's clock, also on the days that it changes", async () => {
  const day = (text) => Date.parse(text);
  const six = async (from, to) =>
    (await of('charts/shapes.js', 'ticks', day(from), day(to), 6)).texts.map((text) => text.replace('<br>', ' '));
  assert.deepEqual(await six('2026-03-02T00:00:00Z', '2026-03-02T06:00:00Z'), [
    '01:00 Mar 2',
    '02:00',
    '03:00',
    '04:00',
    '05:00',
    '06:00',
    '07:00',
  ]);
  // Berlin, 29 March: 02:00 is 03:00 at once. 25 October: 02:00 comes twice, and so does its tick.
  assert.deepEqual(await six('2026-03-29T00:00:00Z', '2026-03-29T03:00:00Z'), [
    '01:00 Mar 29',
    '01:30',
    '03:00',
    '03:30',
    '04:00',
    '04:30',
    '05:00',
  ]);
  assert.deepEqual(await six('2026-10-25T00:00:00Z', '2026-10-25T03:00:00Z'), [
    '02:00 Oct 25',
    '02:30',
    '02:00',
    '02:30',
    '03:00',
    '03:30',
    '04:00',
  ]);
  const { values } = await of('charts/shapes.js', 'ticks', day('2026-03-26T00:00:00Z'), day('2026-04-02T00:00:00Z'), 8);
  assert.deepEqual(
    values.map((value) => new Date(value).toISOString().slice(0, 13)),
    ['2026-03-26T23', '2026-03-27T23', '2026-03-28T23', '2026-03-29T22', '2026-03-30T22', '2026-03-31T22', '2026-04-01T22'],
  );
});

test('numbers, spans and bytes as people read them', async () => {
  const texts = async (name, ...values) => Promise.all(values.map((value) => of('base/format.js', name, ...[value].flat())));
  assert.deepEqual(await texts('number', 0, 0.12345, 1.5, 123.456, 12345.6, -3.14159, null), [
    '0',
    '0.123',
    '1.50',
    '123.5',
    '12,346',
    '-3.14',
    '–',
  ]);
  assert.deepEqual(await texts('duration', 0, 900, 1500, 61_000, 3_240_000, 7_260_000, 273_600_000, null), [
    '0 ms',
    '900 ms',
    '1.5 s',
    '61 s',
    '54 min',
    '2 h 01 min',
    '3 d 4 h',
    '–',
  ]);
  assert.deepEqual(await texts('quantity', [55.5, '°F'], [1, '0/1'], [0, '0/1'], [null, 'kW']), ['55.50 °F', 'on', 'off', '–']);
  assert.deepEqual(await texts('bytes', 12, 1500, 2_500_000), ['12 B', '1.5 kB', '2.5 MB']);
  assert.deepEqual(await texts('timeText', Date.parse('2026-10-25T00:30:00Z'), Date.parse('2026-10-25T01:30:00Z'), 1e20), [
    '2026-10-25 02:30',
    '2026-10-25 02:30',
    '–',
  ]);
});

test('bytes in hex', async () => {
  assert.equal(
    await of('views/letter.js', 'hex', Buffer.from('{"a":1}\u0000\u00ff-and-some-more').toString('base64')),
    '000000  7b 22 61 22 3a 31 7d 00 c3 bf 2d 61 6e 64 2d 73  {"a":1}...-and-s\n000010  6f 6d 65 2d 6d 6f 72 65                          ome-more',
  );
  assert.equal(await of('views/letter.js', 'hex', ''), '(empty)');
});

test("markup, handlers and links to elsewhere can't be made", async () => {
  const made = await page.evaluate(async () => {
    const { h } = await import('/assets/base/dom.js');
    const refused = (attributes) => {
      try {
        h('a', attributes);
        return false;
      } catch {
        return true;
      }
    };
    return [
      refused({ onclick: 'alert(1)' }),
      refused({ href: 'javascript:alert(1)' }),
      refused({ href: '//evil.example' }),
      refused({ href: '/devices/x' }),
      h('p', null, '<b>x</b>').innerHTML,
    ];
  });
  assert.deepEqual(made, [true, true, true, false, '&lt;b&gt;x&lt;/b&gt;']);
});

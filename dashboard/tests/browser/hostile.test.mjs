// Names from devices are text everywhere: a fleet whose every name is markup, script or a link harms no view.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { accessible, api, closeBrowser, drawn, fits, folder, open, pause, picture, run, serve } from './tools.mjs';

const DEVICES = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(2)</script>',
  'javascript:alert(3)',
  '//evil.example/x',
  '${alert(4)}{{alert(4)}}%{alert(4)}',
  '\u202etxt.exe',
  `long-${'x'.repeat(240)}`,
  'a/b?c#d&e=f',
  '%2e%2e%2f',
];
const METRICS = ['supply_air_temp', '<svg onload=alert(5)>', '<a href="javascript:alert(6)">x</a>', '%{customdata}&lt;b&gt;'];
const MINUTES = 420;
const START_MS = Date.UTC(2026, 2, 2);

let server;
before(async () => {
  const where = folder();
  const lines = [];
  for (let minute = 0; minute < MINUTES; minute += 1) {
    const at = START_MS + minute * 60_000;
    DEVICES.forEach((device, place) => {
      // One of them falls silent, so that there is an incident.
      if (place === 0 && minute > 380) return;
      METRICS.forEach((metric, kind) => {
        lines.push({
          partition: 0,
          offset: lines.length,
          broker_time: at + 1000,
          message: {
            device_id: device,
            device_type: place % 2 ? '<b onclick=alert(7)>type</b>' : 'rooftop_unit',
            timestamp: at,
            metric_name: metric,
            metric_value: 55 + Math.sin(minute / 30 + kind) + ((minute * 7 + place + kind) % 5) / 10,
            unit: kind ? '<i>' : '°F',
            location: '<iframe src="javascript:alert(8)">',
            building_id: '"onmouseover="alert(9)',
          },
        });
      });
    });
    if (minute % 60 === 0)
      lines.push({
        partition: 0,
        offset: lines.length,
        broker_time: at,
        message: { device_id: '<script>alert(10)</script>', metric_name: 3 },
      });
  }
  const recording = join(where, 'hostile.jsonl');
  writeFileSync(recording, lines.map((line) => JSON.stringify(line)).join('\n'));
  const store = `sqlite:${join(where, 'hostile.db')}`;
  run('-w', '1', '--source', `file:${recording}`, '--store', store);
  server = await serve(['dashboard', '--store', store]);
});
after(async () => {
  await closeBrowser();
  server?.kill();
});

test('hostile names are text in every view', async () => {
  const { incidents } = await api(server.base, '/incidents');
  assert.ok(
    incidents.some((one) => one.device_id === DEVICES[0]),
    'the one that fell silent has an incident',
  );
  const fleet = await api(server.base, '/fleet');
  assert.equal(fleet.total, DEVICES.length);
  const paths = [
    '/',
    '/?view=table',
    '/incidents',
    ...incidents.map((one) => `/incidents/${one.id}`),
    '/pipeline',
    '/dead-letters',
    '/maintenance',
    ...DEVICES.map((device) => `/devices/${encodeURIComponent(device)}?at=${START_MS + 300 * 60_000}`),
  ];
  for (const path of paths) {
    for (const width of [1280, 400]) {
      const page = await open({ viewport: { width, height: 900 } });
      await page.goto(server.base + path);
      await page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('main')?.textContent.includes('Loading…'));
      if (path.startsWith('/devices/')) {
        await drawn(page);
        await page.waitForSelector('#moment h3', { state: 'attached' });
      } else await pause(300);
      // What names would have made of the page.
      const strange = await page.evaluate(() =>
        [
          ...document.querySelectorAll(
            'main :is(img, script, iframe, [onerror], [onclick], [onload], [onmouseover], a[href^="javascript:"], a[href^="//"])',
          ),
        ].map((one) => one.outerHTML),
      );
      assert.deepEqual(strange, [], path);
      await fits(page, `${path} at ${width}`);
      if (width === 1280 && (path === '/' || path.startsWith('/devices/%3Cimg'))) {
        await accessible(page, path);
        await picture(page, path === '/' ? 'hostile-fleet' : 'hostile-device');
      }
      page.harmless();
      await page.context().close();
    }
  }
});

test('links lead to the very device', async () => {
  const page = await open();
  for (const device of DEVICES) {
    await page.goto(`${server.base}/`);
    const card = page.locator('.card h2 a').filter({ has: page.locator('bdi') });
    await card.first().waitFor();
    const texts = await card.evaluateAll((links) => links.map((link) => link.textContent));
    await card.nth(texts.indexOf(device)).click();
    await page.waitForFunction((name) => document.querySelector('h1')?.textContent === name, device);
  }
  page.harmless();
});

test('a hover over a chart of such a metric tells its value', async () => {
  const page = await open();
  await page.goto(`${server.base}/devices/${encodeURIComponent(DEVICES[0])}?range=24h`);
  await drawn(page);
  const figure = page.locator('figure.chart', { hasText: /onload=alert/i });
  await figure.scrollIntoViewIfNeeded();
  const box = await figure.locator('.nsewdrag').boundingBox();
  await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 4 });
  await page.waitForSelector('.hoverlayer .hovertext');
  const texts = await page.locator('.hoverlayer').allTextContents();
  assert.match(texts.join(), /2026-03-02 0\d:\d\d5\d\.\d\dreadings/);
  page.harmless();
});

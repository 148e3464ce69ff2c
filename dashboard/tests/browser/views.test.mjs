// Every view shows the real data of a finished job: the fleet and its filters, a device's charts, an incident, the pipeline,
// dead letters; wide and narrow, light and dark, without a serious finding of axe.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serveDay } from './day.mjs';
import { accessible, api, closeBrowser, drawn, fits, open, picture } from './tools.mjs';

let server;
let worst;
before(async () => {
  server = await serveDay();
  ({
    incidents: [worst],
  } = await api(server.base, '/incidents?status=open&severity=critical'));
});
after(async () => {
  await closeBrowser();
  server?.kill();
});

/** Name, address, what tells that it is there. */
const views = () => [
  ['fleet', '/', '.card'],
  ['fleet-table', '/?view=table', 'table.fleet tbody tr'],
  ['device', `/devices/${worst.device_id}`, 'figure.chart'],
  ['device-moment', `/devices/${worst.device_id}?at=${worst.peak_at_ms}`, '#moment table'],
  ['incidents', '/incidents', 'tbody tr'],
  ['incident', `/incidents/${worst.id}`, '.timeline li'],
  ['pipeline', '/pipeline', 'tbody tr'],
  ['dead-letters', '/dead-letters', '.letters li'],
  ['maintenance', '/maintenance', 'form'],
];

for (const [scheme, width] of [
  ['light', 1280],
  ['dark', 1280],
  ['light', 400],
  ['dark', 400],
]) {
  test(`all views, ${scheme}, ${width} pixels`, async () => {
    for (const [name, path, there] of views()) {
      const page = await open({ colorScheme: scheme, viewport: { width, height: 900 } });
      await page.goto(server.base + path);
      await page.waitForSelector(there, { state: 'attached' });
      await fits(page, `${name} at ${width}`);
      await accessible(page, `${name}, ${scheme}, ${width}`);
      await picture(page, `${name}-${width}-${scheme}`);
      if (name === 'device-moment') {
        await page.locator('#moment').scrollIntoViewIfNeeded();
        await page.evaluate(() => document.getElementById('moment').scrollIntoView());
        await picture(page, `moment-${width}-${scheme}`);
      }
      if (name === 'incident' || name === 'device') {
        await page.evaluate(() => document.querySelector('figure.chart').scrollIntoView());
        await drawn(page);
        await fits(page, `${name} with charts at ${width}`);
        await accessible(page, `${name} with charts, ${scheme}, ${width}`);
        await picture(page, `${name}-charts-${width}-${scheme}`);
      }
      page.harmless();
      await page.context().close();
    }
  });
}

test('the fleet is sorted by trouble and says why', async () => {
  const page = await open();
  await page.goto(`${server.base}/`);
  await page.waitForSelector('.card');
  assert.equal(await page.locator('.card').count(), 11);
  const first = page.locator('.card').first();
  assert.equal((await first.locator('h2').textContent()).trim(), worst.device_id);
  assert.match(await first.locator('.badge').first().textContent(), /critical/);
  assert.match(await first.locator('.why').textContent(), /vibration/);
  assert.match(await page.locator('.tile-devices').textContent(), /^11\s+devices/);
  // The recording is of March: nothing of it may look like now.
  await page.locator('#freshness', { hasText: /^newest data 2026-03-02 14:\d\d, of a recording$/ }).waitFor();
  page.harmless();
});

test('the header says how old the data is against the clock', async () => {
  for (const [more, words, stale] of [
    [{ as_of_ms: Date.now() - 30_000 }, /^up to date$/, false],
    // A job that is behind, or was killed: its server answers all the same.
    [{ as_of_ms: Date.now() - 40 * 60_000 }, /^newest data ([-\d]+ )?\d\d:\d\d, 40 min ago$/, true],
    [{ as_of_ms: 0 }, /^no data yet$/, false],
  ]) {
    const page = await open();
    await page.route('**/api/v1/fleet?*', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...(await answer.json()), live: true, recording: false, ...more } });
    });
    await page.goto(`${server.base}/incidents`);
    const line = page.locator('#freshness', { hasText: words });
    await line.waitFor();
    assert.equal(await line.evaluate((element) => element.classList.contains('stale')), stale, String(words));
    await page.context().close();
  }
});

test('filters narrow the fleet and stand in the address', async () => {
  const page = await open();
  await page.goto(`${server.base}/`);
  await page.waitForSelector('.card');
  await page.getByLabel('Find').fill('CH-');
  await page.waitForFunction(() => document.querySelectorAll('.card').length === 2);
  assert.match(page.url(), /\?text=CH-/);
  await page.getByLabel('Find').fill('');
  await page.getByLabel('warning', { exact: true }).check();
  await page.waitForFunction(() => document.querySelectorAll('.card').length === 1);
  await page.reload();
  await page.waitForSelector('.card');
  assert.equal(await page.locator('.card').count(), 1, 'the address brings the same view');
  assert.ok(await page.getByLabel('warning', { exact: true }).isChecked());
  await page.getByLabel('Find').fill('there is no such thing');
  await page.getByText('No device matches these filters').waitFor();
  await page.getByRole('link', { name: 'Show the whole fleet' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.card').length === 11);
  await page.getByLabel('Show as').selectOption('table');
  await page.waitForSelector('table.fleet');
  assert.equal(await page.locator('table.fleet tbody tr').count(), 11);
  page.harmless();
});

test('a device has a chart a metric with gaps, and a table of the same numbers', async () => {
  const page = await open();
  const device = await api(server.base, `/devices/${worst.device_id}`);
  await page.goto(`${server.base}/devices/${worst.device_id}`);
  await drawn(page);
  assert.equal(await page.locator('figure.chart').count(), device.metrics.length + 1, 'and one of the methods');
  const gaps = await page.evaluate(() =>
    [...document.querySelectorAll('.plot')]
      .flatMap((plot) => plot.data ?? [])
      .filter((trace) => trace.hovertemplate && trace.connectgaps !== undefined)
      .map((trace) => trace.connectgaps),
  );
  assert.ok(gaps.length && gaps.every((connect) => connect === false), 'lines end where nothing came');
  const figure = page.locator('figure.chart').nth(1);
  assert.match(await figure.locator('figcaption').textContent(), / to .*; /);
  await figure.getByText('Show as table').click();
  await figure.locator('tbody tr').first().waitFor();
  assert.ok((await figure.locator('tbody tr').count()) > 100);
  assert.match(await page.locator('table', { hasText: 'Newest values' }).textContent(), /vibration/i);
  assert.match(await page.getByRole('group', { name: 'What is usual', exact: true }).textContent(), /vibration/i);
  page.harmless();
});

test('the band is what was predicted in each minute, and there is none while the device was learned', async () => {
  const { device_id: id, first_seen_ms: first, last_seen_ms: last } = await api(server.base, `/devices/${worst.device_id}`);
  const HOUR = 3_600_000;
  const series = await api(server.base, `/devices/${id}/series?from_ms=${first}&to_ms=${last + 60_000}&points=10000`);
  assert.equal(series.step_ms, series.window_ms, 'a step a state');
  const metric = series.metrics.find(({ name }) => /vibration/.test(name));
  const learned = series.times_ms.findIndex((ms) => ms >= first + 8 * HOUR);
  for (const { name, expected, low, high } of series.metrics) {
    for (const [at, ms] of series.times_ms.entries()) {
      const known = expected[at] !== null;
      assert.ok(known === (low[at] !== null) && known === (high[at] !== null), `${name}: a band where something is expected`);
      assert.ok(!known || ms > first + 5 * HOUR, `${name} is expected in the warm-up`);
    }
  }
  const known = metric.expected.slice(learned).filter((value) => value !== null);
  assert.ok(known.length > 200 && new Set(known).size > known.length / 2, 'each state has its own prediction');
  const at = series.times_ms.length - 30;
  const state = await api(server.base, `/devices/${id}/explain?at_ms=${series.times_ms[at]}`);
  const { expected, band } = state.metrics[metric.name];
  assert.equal(metric.expected[at], expected, 'the one that the state has');
  assert.ok(Math.abs(metric.high[at] - expected - band) < 1e-9, 'and as wide');

  const page = await open();
  /** The chart of the metric over a span: what is drawn, and what the hover says. */
  const chartOf = async (from, to) => {
    await page.goto(`${server.base}/devices/${id}?from=${from}&to=${to}`);
    const figure = page.locator('figure.chart', { has: page.locator('h3', { hasText: metric.label }) }).first();
    await drawn(page);
    await figure.scrollIntoViewIfNeeded();
    await figure.locator('.main-svg').first().waitFor();
    return figure.locator('.plot').evaluate((plot) => {
      const trace = (name) => plot.data.find((one) => one.name === name);
      const band = trace('expected band');
      return { y: [...band.y], fill: band.fill, expected: [...trace('expected').y], hovers: [...trace('mean').customdata] };
    });
  };
  const seen = await chartOf(series.times_ms[learned], last + 60_000);
  const of = (values) => values.slice(learned).filter((value) => value !== null);
  assert.equal(seen.fill, 'toself');
  const sorted = (values) => values.toSorted((a, b) => a - b);
  assert.deepEqual(
    sorted(seen.y.filter((value) => value !== null)),
    sorted([...of(metric.low), ...of(metric.high)]),
    'the band has the ends of every state',
  );
  assert.deepEqual(seen.expected, metric.expected.slice(learned));
  assert.match(seen.hovers[at - learned], /expected [-\d.,]+.* \([-\d.,]+ to [-\d.,]+\)/);
  const learning = await chartOf(first, first + 5 * HOUR);
  assert.deepEqual(learning.y, [], 'no band');
  assert.ok(learning.expected.every((value) => value === null) && !learning.hovers.some((text) => /expected/.test(text)));
  assert.match(await page.getByRole('list', { name: 'What the charts show' }).textContent(), /no expectation while learning/);
  page.harmless();
});

/** Where a chart's plot is on the screen. */
async function plotOf(page, place) {
  await page.locator('figure.chart').nth(place).scrollIntoViewIfNeeded();
  await drawn(page);
  return page.locator('figure.chart').nth(place).locator('.nsewdrag').boundingBox();
}

test('a span of time holds for all charts and stands in the address', async () => {
  const page = await open();
  await page.goto(`${server.base}/devices/${worst.device_id}`);
  await drawn(page);
  await page.getByRole('button', { name: '1 hour', exact: true }).click();
  const ranges = () =>
    page.evaluate(() =>
      [...document.querySelectorAll('.plot')].filter((plot) => plot.layout).map((plot) => plot.layout.xaxis.range.join()),
    );
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.plot')]
      .filter((plot) => plot.layout)
      .every((plot) => plot.layout.xaxis.range[1] - plot.layout.xaxis.range[0] === 3_600_000),
  );
  assert.match(page.url(), /range=1h/);
  // A span drawn in one chart.
  const box = await plotOf(page, 1);
  await page.mouse.move(box.x + box.width * 0.25, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.75, box.y + box.height / 2, { steps: 8 });
  await page.mouse.up();
  await page.waitForURL(/from=\d+&to=\d+/);
  await page.waitForFunction(() => {
    const plots = [...document.querySelectorAll('.plot')].filter((plot) => plot.layout);
    const first = plots[0].layout.xaxis.range;
    return first[1] - first[0] < 2_400_000 && plots.every((plot) => plot.layout.xaxis.range.join() === first.join());
  });
  assert.equal(new Set(await ranges()).size, 1);
  page.harmless();
});

test('a click on a chart compares that moment with earlier ones', async () => {
  const page = await open();
  await page.goto(`${server.base}/devices/${worst.device_id}`);
  await drawn(page);
  const box = await plotOf(page, 1);
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
  await page.mouse.click(box.x + box.width * 0.5, box.y + box.height / 2);
  await page.waitForURL(/at=\d+/);
  const moment = page.locator('#moment');
  await moment.getByText('The four methods').waitFor({ state: 'attached' });
  await moment.getByText('What became of them').waitFor();
  assert.equal(await moment.getByRole('group', { name: 'The four methods' }).locator('tbody tr').count(), 4);
  page.harmless();
});

test("times are of the viewer's zone, with UTC on hover", async () => {
  const texts = [];
  for (const timezoneId of ['Europe/Berlin', 'America/New_York']) {
    const page = await open({ timezoneId });
    await page.goto(`${server.base}/incidents/${worst.id}`);
    const time = page.locator('.timeline time').first();
    await time.waitFor();
    texts.push(await time.textContent());
    assert.match(await time.getAttribute('title'), /2026-03-02 12:16:00 UTC/);
    page.harmless();
  }
  assert.deepEqual(texts, ['2026-03-02 13:16', '2026-03-02 07:16']);
});

test('dead letters show their bytes and why', async () => {
  const page = await open();
  await page.goto(`${server.base}/dead-letters`);
  const letter = page.locator('.letters > li').first();
  await letter.waitFor();
  await letter.getByRole('button', { name: 'Hex' }).click();
  assert.match(await letter.locator('pre').textContent(), /^000000 {2}[0-9a-f]{2} /);
  await page.getByRole('link', { name: /not one JSON object/ }).click();
  await page.waitForURL(/reason=not_json/);
  await page.locator('.letters > li').first().waitFor();
  // This job reads a recording: there is no topic to send to, and the page says so.
  await page.getByRole('checkbox').first().check();
  await page.getByRole('button', { name: 'Send 1 message again' }).click();
  await page.getByText('dataflow dead-letters replay').waitFor();
  page.harmless();
});

test('unknown devices, incidents and pages say so', async () => {
  const page = await open();
  await page.goto(`${server.base}/devices/NO-SUCH`);
  await page
    .getByRole('alert')
    .getByText(/NO-SUCH/)
    .waitFor();
  await page.goto(`${server.base}/incidents/NO-SUCH`);
  await page.locator('.problem').waitFor();
  page.harmless();
});

// What people do: say what an incident was, announce work; with a mouse, with the keyboard alone, and with a token.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serveDay } from './day.mjs';
import { accessible, api, closeBrowser, drawn, open, picture } from './tools.mjs';

let server;
let incidents;
before(async () => {
  server = await serveDay();
  ({ incidents } = await api(server.base, '/incidents'));
});
after(async () => {
  await closeBrowser();
  server?.kill();
});

test('an incident is resolved by clicking', async () => {
  const page = await open();
  const [incident] = incidents;
  await page.goto(`${server.base}/incidents/${incident.id}`);
  await page.getByRole('button', { name: 'A false positive' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  assert.match(await dialog.textContent(), /raised by half/);
  await accessible(page, 'the dialog');
  await dialog.getByLabel(/Note/).fill('the fan was off for a <b>test</b>');
  await picture(page, 'dialog');
  await dialog.getByRole('button', { name: 'A false positive' }).click();
  await page.getByText('Noted as a false positive').waitFor();
  await page.getByText('the fan was off for a <b>test</b>', { exact: true }).waitFor();
  const known = await api(server.base, `/incidents/${incident.id}`);
  assert.equal(known.asked?.note ?? known.note, 'the fan was off for a <b>test</b>');
  await page.goto(`${server.base}/incidents`);
  await page
    .getByRole('row', { name: new RegExp(incident.device_id) })
    .getByText('a false positive')
    .first()
    .waitFor();
  page.harmless();
});

test('the keyboard is enough', async () => {
  const page = await open();
  const press = async (key, times = 1) => {
    for (let at = 0; at < times; at += 1) await page.keyboard.press(key);
  };
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.id);
  /** Goes on by Tab until the focus is on what is looked for, and sees that it shows. */
  const tabTo = async (text) => {
    for (let at = 0; at < 120; at += 1) {
      await press('Tab');
      if ((await focused()).startsWith(text)) {
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.notEqual(outline, 'none', `the focus on ${text} shows`);
        return;
      }
    }
    assert.fail(`no way by Tab to ${text}`);
  };
  await page.goto(`${server.base}/`);
  await page.waitForSelector('.card');
  await press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  await press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main', 'and that is no new page');
  await tabTo('CT-001');
  await press('Enter');
  await page.waitForURL(/devices\/CT-001/);
  await drawn(page);
  await tabTo('1 hour');
  await press('Enter');
  await page.waitForURL(/range=1h/);
  await tabTo('Show as table');
  await press('Enter');
  await page.locator('figure.chart tbody tr').first().waitFor();

  const incident = incidents.find((one) => one.device_id === 'CH-001');
  await page.goto(`${server.base}/incidents/${incident.id}`);
  await page.getByRole('button', { name: 'A real fault' }).waitFor();
  await tabTo('A real fault');
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  await press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await focused(), 'A real fault', 'the focus is back where it was');
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.type('refrigerant was low');
  await press('Tab');
  await press('Enter');
  await page.getByText('Noted as a fault').waitFor();
  page.harmless();
});

test('maintenance is announced', async () => {
  const page = await open();
  await page.goto(`${server.base}/devices/RTU-003`);
  await page.getByRole('link', { name: 'Plan maintenance' }).click();
  await page.getByLabel('Its name').waitFor();
  assert.equal(await page.getByLabel('Its name').inputValue(), 'RTU-003');
  await page.getByLabel('What is done').fill('filter change');
  await page.getByRole('button', { name: 'Announce' }).click();
  await page.getByText('Announced.', { exact: true }).waitFor();
  await page.getByRole('cell', { name: 'filter change' }).waitFor();
  const { windows } = await api(server.base, '/maintenance');
  assert.deepEqual(
    windows.map((one) => [one.device_id, one.note]),
    [['RTU-003', 'filter change']],
  );
  page.harmless();
});

test('colours are chosen, and kept', async () => {
  const page = await open({ colorScheme: 'light' });
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.goto(`${server.base}/incidents`);
  const light = await back();
  await page.getByLabel('Colours').selectOption('dark');
  assert.notEqual(await back(), light);
  await page.goto(`${server.base}/pipeline`);
  assert.notEqual(await back(), light, 'the next page has them, too');
  page.harmless();
});

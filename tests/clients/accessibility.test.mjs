// Every page of ours, in light and dark, on a phone and on a wide screen: axe finds nothing, nothing is cut off, and the
// keyboard reaches every control. Screenshots go to tests/artefacts.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import axe from 'axe-core';
import { newPerson, openApplication, visit } from './application.mjs';
import { consent, logIn, picture } from './browser.mjs';
import { documentUrl, gateway, resource } from './environment.mjs';

let application;
let wiki;
before(async () => {
  application = await openApplication('Teapot');
  wiki = await openApplication('A reading room with a rather long name for what it is');
});
after(() => {
  application.close();
  wiki.close();
});

const path = (at) => new URL(at, gateway.origin).href;
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
const WIDE = { viewport: { width: 1280, height: 900 } };

/** Signs in if asked, approves, and redeems the code. */
async function connect(page, of, changes) {
  const asked = of.authorization(changes);
  await page.goto(asked.href);
  await page.getByRole('button', { name: 'Approve' }).waitFor();
  const left = of.reaches(page);
  await consent(page);
  await left;
  const tokens = await of.redeem(asked);
  assert.ok(tokens.access_token, JSON.stringify(tokens));
}

/** Shows every page of ours once, each with `look(name)`. */
async function tour(page, expected, look) {
  const refused = async (deed) => {
    await deed();
    await page.getByRole('alert').waitFor();
    expected(/status of 4\d\d/);
  };
  await page.goto(path('/'));
  await look('welcome');
  await refused(() => page.goto(path('/nowhere')));
  await look('not-found');
  await refused(() => page.goto(application.authorization({ client_id: 'nobody' }).href));
  await look('error');

  const { link } = await gateway.command('user', 'add', `grace-${Date.now()}`);
  await page.goto(link);
  await look('setup');
  for (const label of ['New password', 'Confirm password']) await page.getByLabel(label).fill('manchesterunited');
  await refused(() => page.getByRole('button', { name: 'Set password' }).click());
  await look('setup-refused');
  const { name, password } = await newPerson(page);
  await look('account-new');

  // Consent in all its forms.
  const asked = {
    tools: application.authorization({ resource: resource('notes'), scope: 'notes:read notes:write notes:delete' }),
    many: application.authorization({ resource: resource('office'), scope: 'office:read office:notes office:delete office:files office:upload office:calendar office:reports office:invite' }),
    document: application.authorization({ client_id: documentUrl, redirect_uri: 'https://app.example/callback' }),
  };
  for (const [form, { href }] of Object.entries(asked)) {
    await page.goto(href);
    await page.getByRole('button', { name: 'Approve' }).waitFor();
    await look(`consent-${form}`);
  }
  await page.goto(asked.tools.href);
  for (const box of await page.locator('input[name="scope"]').all()) await box.uncheck();
  await look('consent-unticked');
  await refused(() => page.getByRole('button', { name: 'Approve' }).click());
  await look('consent-refused');
  await page.goto(application.authorization({ resource: resource('archive'), scope: '' }).href);
  await page.getByRole('heading', { name: 'You have no access to Archive' }).waitFor();
  expected(/status of 403/);
  await look('no-access');

  // The account with everything on it.
  await connect(page, application, { resource: resource('notes'), scope: 'notes:read notes:write' });
  await connect(page, application, { resource: resource('notes'), scope: 'notes:read notes:write notes:delete' });
  await connect(page, wiki, { resource: resource('demo') });
  await page.goto(path('/account'));
  await page.getByText('Make an API key for Office').click();
  const form = page.locator('details[open]').filter({ hasText: 'Make an API key for Office' });
  await form.getByLabel('Name', { exact: true }).fill('A key for the report that runs each night');
  await form.getByLabel('Your password').fill('not the password');
  await refused(() => form.getByRole('button', { name: 'Make the key' }).click());
  await look('account-key-refused');
  await form.getByLabel('Name', { exact: true }).fill('A key for the report that runs each night');
  await form.getByLabel('Your password').fill(password);
  await form.getByRole('button', { name: 'Make the key' }).click();
  await page.getByRole('heading', { name: 'Your API key' }).waitFor();
  await look('key-made');
  await page.goto(path('/account'));
  await look('account');
  // What was unfolded to be looked at is folded again.
  await page.goto(path('/account'));
  await page.getByText('Change your password').click();
  await page.getByLabel('Current password').fill('not the password');
  for (const label of [/^New password/, /^Confirm/]) await page.getByLabel(label).fill('five-kettles-in-a-row');
  await refused(() => page.getByRole('button', { name: 'Change password' }).click());
  await look('account-password-refused');
  await page.goto(path('/account'));
  await page.locator('input[name="form_token"]').evaluateAll((tokens) => tokens.forEach((token) => { token.value = 'old'; }));
  await refused(() => page.getByRole('button', { name: 'Disconnect all applications' }).click());
  await look('stale-form');
  await page.goto(path('/account'));
  await page.getByRole('button', { name: /^Disconnect Teapot/ }).click();
  await page.getByRole('status').waitFor();
  await look('account-disconnected');

  // Another account, and out.
  await page.goto(application.authorization().href);
  await page.getByRole('button', { name: 'Not you?' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await look('switched-account');
  await refused(() => logIn(page, { name, password: 'not the password' }));
  await look('login-refused');
  await page.goto(path('/account'));
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await look('login-for-account');
  await logIn(page, { name, password });
  await page.locator('summary', { hasText: 'Sign out' }).click();
  await page.getByLabel('Disconnect all applications as well').first().check();
  await page.getByRole('button', { name: 'Sign out of this browser' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await look('signed-out');
}

/** Opens whatever is folded. */
const unfold = (page) => page.locator('details').evaluateAll((all) => all.forEach((one) => { one.open = true; }));

const CONTROLS = 'a[href], button, input:not([type="hidden"]):not([hidden]), summary, select, textarea';

/** Reaches every control by Tab alone, and sees where the focus is. */
async function walk(page, name) {
  await page.evaluate((controls) => {
    document.activeElement.blur();
    getSelection().removeAllRanges();
    scrollTo(0, 0);
    globalThis.waiting = new Set([...document.querySelectorAll(controls)].filter((one) => one.checkVisibility()
      // Arrow keys reach the others of a group.
      && !(one.type === 'radio' && !one.checked)));
  }, CONTROLS);
  const count = await page.evaluate(() => globalThis.waiting.size);
  // Twice round, because Tab goes on from where the focus was last.
  for (let step = 0; step < 2 * count + 4 && await page.evaluate(() => globalThis.waiting.size > 0); step += 1) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const one = document.activeElement;
      if (one === document.body) return { end: true };
      globalThis.waiting.delete(one);
      const { top, bottom } = one.getBoundingClientRect();
      // The buttons of the consent page stay at the lower edge, above what is scrolled behind them.
      const dock = one.closest('.dock') ? undefined : document.querySelector('.dock')?.getBoundingClientRect();
      return {
        html: one.outerHTML.slice(0, 200),
        outlined: getComputedStyle(one).outlineStyle !== 'none',
        inSight: bottom > 0 && top < innerHeight && !(dock && bottom > dock.top && top < dock.bottom),
      };
    });
    assert.ok(seen.end || (seen.outlined && seen.inSight), `${name}: the focus cannot be seen: ${JSON.stringify(seen)}`);
  }
  const missed = await page.evaluate(() => [...globalThis.waiting].map((one) => one.outerHTML));
  assert.deepEqual(missed, [], `${name}: not reached by Tab`);
}

describe('every page', () => {
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, options] of Object.entries({ phone: PHONE, wide: WIDE })) {
      test(`axe finds nothing: ${colorScheme}, ${size}`, () => visit({ ...options, colorScheme }, async (page, { expected }) => {
        const found = [];
        await tour(page, expected, async (name) => {
          await unfold(page);
          await picture(page, `${name}-${colorScheme}-${size}`);
          // Without the preloading of style sheets, for which the pages allow no connection.
          await page.evaluate(axe.source);
          const { violations } = await page.evaluate(() => globalThis.axe.run(document, { preload: false }));
          for (const { id, help, nodes } of violations) {
            found.push(`${name}: ${id}: ${help}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join('\n')}`);
          }
          const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
          if (widths[0] > widths[1]) found.push(`${name}: horizontal scrolling: ${widths}`);
        });
        assert.deepEqual(found, []);
      }));
    }
  }

  test('the keyboard reaches every control, and the focus is in sight', () => visit(WIDE, async (page, { expected }) => {
    await tour(page, expected, async (name) => {
      await unfold(page);
      await walk(page, name);
    });
  }));
});

/** Moves the focus by Tab until it is at the control. */
async function tabTo(page, control) {
  for (let step = 0; step < 200; step += 1) {
    await page.keyboard.press('Tab');
    if (await control.evaluate((one) => one === document.activeElement)) return;
  }
  throw new Error(`Tab does not reach ${control}`);
}

test('a person does everything with the keyboard alone', () => visit(WIDE, async (page) => {
  const { name, password } = await newPerson(page);
  const press = async (control, key = 'Enter') => {
    await tabTo(page, control);
    await page.keyboard.press(key);
  };
  for (const scope of ['notes:read', 'notes:read notes:write']) {
    const asked = application.authorization({ resource: resource('notes'), scope });
    await page.goto(asked.href);
    const left = application.reaches(page);
    await press(page.getByRole('button', { name: 'Approve' }), 'Space');
    await left;
    assert.ok((await application.redeem(asked)).access_token);
  }
  await page.goto(path('/account'));
  await press(page.locator('summary', { hasText: 'It can use' }));
  await page.getByRole('heading', { name: /^Tools that/ }).first().waitFor();
  await press(page.locator('summary', { hasText: '2 sessions' }), 'Space');
  await press(page.getByRole('button', { name: 'End session 2 of Teapot' }));
  assert.match(await page.getByRole('status').innerText(), /session of the application has ended/);
  assert.equal(await page.locator('summary', { hasText: 'sessions' }).count(), 0);
  await press(page.locator('summary', { hasText: 'Make an API key for Notes' }));
  const form = page.locator('details[open]');
  await tabTo(page, form.getByLabel('Name', { exact: true }));
  await page.keyboard.type('nightly');
  await press(form.getByLabel('Add notes'), 'Space');
  await tabTo(page, form.getByLabel('90 days'));
  await page.keyboard.press('ArrowDown');
  await tabTo(page, form.getByLabel('Your password'));
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Your API key' }).waitFor();
  await press(page.getByRole('link', { name: 'Back to your account' }));
  await press(page.getByRole('button', { name: 'Revoke nightly' }), 'Space');
  assert.match(await page.getByRole('status').innerText(), /no longer accepted/);
  await press(page.locator('summary', { hasText: 'Change your password' }));
  await tabTo(page, page.getByLabel('Current password'));
  await page.keyboard.type(password);
  for (const label of [/^New password/, /^Confirm/]) {
    await tabTo(page, page.getByLabel(label));
    await page.keyboard.type('five-kettles-in-a-row');
  }
  await page.keyboard.press('Enter');
  await page.getByText('Your password is changed').waitFor();
  await press(page.locator('summary', { hasText: 'Sign out' }));
  await press(page.getByLabel('Disconnect all applications as well').first(), 'Space');
  await press(page.getByRole('button', { name: 'Sign out of this browser' }));
  await page.getByText('are disconnected').waitFor();
  await press(page.getByRole('link', { name: 'Sign in again' }));
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.keyboard.type(name);
  await page.keyboard.press('Tab');
  await page.keyboard.type('five-kettles-in-a-row');
  await page.keyboard.press('Enter');
  await page.getByText('No application is connected').waitFor();
}));

test('without script, on a phone: a person disconnects applications', () => visit({ ...PHONE, javaScriptEnabled: false }, async (page) => {
  await newPerson(page);
  await connect(page, application, { resource: resource('notes'), scope: 'notes:read' });
  await connect(page, application, { resource: resource('notes'), scope: 'notes:read notes:write' });
  await connect(page, wiki, { resource: resource('demo') });
  await page.goto(path('/account'));
  await page.getByText('2 sessions').click();
  await page.getByRole('button', { name: 'End session 1 of Teapot' }).click();
  await page.getByRole('status').waitFor();
  await page.getByRole('button', { name: /^Disconnect Teapot/ }).click();
  await page.getByRole('status').waitFor();
  assert.equal(await page.getByRole('button', { name: /^Disconnect / }).count(), 1);
  await page.locator('summary', { hasText: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign out of this browser' }).click();
  await page.getByText('stay connected').waitFor();
}));

// The pages in a real browser: what a user sees, and what must not happen meanwhile. Screenshots go to tests/artefacts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { newPerson, openApplication, visit } from './application.mjs';
import { authorize, consent, logIn, picture, shot } from './browser.mjs';
import { documentUrl, gateway, OFFICE, resource } from './environment.mjs';
import { ACCOUNT } from './gateway.mjs';

let arrived;
let authorization;
let client;
let close;
let reaches;
let redeem;
let registered;

before(async () => {
  const application = await openApplication('Notes <b>&</b> more');
  ({ arrived, authorization, client, close, reaches, redeem, registered } = application);
});

after(() => close());

/** Sends a request of 2026-07-28, which needs no session, with a token. */
async function ask({ access_token: token }, name, method, params = {}) {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  };
  const answer = await fetch(resource(name), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(params.name && { 'mcp-name': params.name }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: meta } }),
  });
  return answer.json();
}

describe('pages in Chromium', () => {
  test('login, a wrong password, consent (AZ-31)', () => visit({}, async (page, { expected }) => {
    const asked = authorization();
    await page.goto(asked.href);
    await picture(page, 'login');
    const logo = page.getByRole('main').locator('img');
    assert.ok(await logo.evaluate((image) => image.complete && image.naturalWidth === 90), 'the logo of the operator is shown');
    for (const [name, href] of [['Support', 'https://help.example.com/'], ['Privacy', 'https://example.com/privacy']]) {
      assert.equal(await page.locator('footer').getByRole('link', { name }).getAttribute('href'), href);
    }
    await logIn(page, { name: ACCOUNT.name, password: 'not the password' });
    await page.getByRole('alert').waitFor();
    await picture(page, 'login-wrong-password');
    expected(/status of 4\d\d/);
    assert.equal(await page.getByLabel(/password/i).inputValue(), '');
    await logIn(page, ACCOUNT);
    await page.getByRole('heading', { level: 1 }).waitFor();
    const shown = await page.locator('main').innerText();
    assert.ok(shown.includes('Notes <b>&</b> more'), 'the name is text, not markup');
    for (const fact of ['127.0.0.1', ACCOUNT.name]) assert.ok(shown.includes(fact), `the page names ${fact}`);
    await picture(page, 'consent');
    const left = reaches(page);
    await consent(page);
    await left;
    const answer = arrived.at(-1);
    assert.equal(answer.get('state'), asked.state);
    assert.equal(answer.get('iss'), gateway.origin);
    assert.equal(answer.getAll('code').length, 1);
  }));

  test('deny', () => visit({}, async (page) => {
    const asked = authorization();
    await page.goto(asked.href);
    await logIn(page, ACCOUNT);
    const left = reaches(page);
    await consent(page, 'deny');
    await left;
    const answer = arrived.at(-1);
    assert.equal(answer.get('error'), 'access_denied');
    assert.equal(answer.get('state'), asked.state);
    assert.equal(answer.get('iss'), gateway.origin);
    assert.equal(answer.get('code'), null);
  }));

  test('what is unticked stays unticked, and is not granted', () => visit({}, async (page, { expected }) => {
    const all = OFFICE.map(({ name }) => name);
    const asked = authorization({ resource: resource('office'), scope: all.join(' ') });
    await page.goto(asked.href);
    await logIn(page, ACCOUNT);
    const boxes = page.locator('input[name="scope"]');
    const unfold = async () => (await page.locator('details:not([open])').count()) && page.locator('summary').click();
    const ticked = () => boxes.evaluateAll((them) => them.filter((box) => box.checked).map((box) => box.value));
    const press = () => page.getByRole('button', { name: 'Approve' }).click();
    await boxes.first().waitFor();
    assert.deepEqual(await ticked(), OFFICE.filter(({ sensitive }) => !sensitive).map(({ name }) => name));
    // The second time on the previous page, as the back button shows it.
    for (const back of [false, true]) {
      if (back) await page.goBack();
      await unfold();
      for (const box of await boxes.all()) await box.uncheck();
      await press();
      assert.match(await page.getByRole('alert').innerText(), /Tick at least one permission/);
      assert.deepEqual(await ticked(), []);
      expected(/status of 400/);
    }
    await picture(page, 'consent-nothing-approved');
    await page.locator(`input[value="${all[1]}"]`).check();
    const left = reaches(page);
    await press();
    await left;
    assert.equal((await redeem(asked)).scope, all[1]);
  }));

  for (const colorScheme of ['light', 'dark']) {
    const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2, colorScheme };
    test(`a person unticks tools on a phone, ${colorScheme}`, () => visit(phone, async (page) => {
      const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
      const scope = 'notes:read notes:write notes:delete';
      const asked = authorization({ resource: resource('notes'), scope });
      await page.goto(asked.href);
      await logIn(page, ACCOUNT);
      await page.getByRole('checkbox', { name: /^Echo/ }).waitFor();
      // The whole label is the target of a finger, and the box of a kind is a step away from those of its tools.
      await page.getByText('Echo', { exact: true }).tap();
      await page.getByText('Tools that add or change').tap();
      await page.getByRole('checkbox', { name: 'Delete notes' }).check();
      await picture(page, `consent-tools-${colorScheme}`);
      assert.ok(await fits(), 'no horizontal scrolling');
      const left = reaches(page);
      await consent(page);
      await left;
      const tokens = await redeem(asked);
      const { result } = await ask(tokens, 'notes', 'tools/list');
      assert.deepEqual(result.tools.map(({ name }) => name), ['list_notes', 'delete_note']);
      for (const name of ['echo', 'add_note']) {
        const { error } = await ask(tokens, 'notes', 'tools/call', { name, arguments: { text: 'x' } });
        assert.match(error.message, /left this tool out/);
      }
      // The next login shows it as it was left.
      const again = authorization({ resource: resource('notes'), scope });
      await page.goto(again.href);
      for (const [name, ticked] of [[/^Echo/, false], [/^List notes/, true], [/^Tools that add/, false], [/^Add a note/, false]]) {
        assert.equal(await page.getByRole('checkbox', { name }).isChecked(), ticked, String(name));
      }
      await picture(page, `consent-tools-again-${colorScheme}`);
      for (const name of [/^Echo/, /^Tools that add/, /^Add a note/]) await page.getByRole('checkbox', { name }).check();
      const back = reaches(page);
      await consent(page);
      await back;
      assert.ok((await ask(await redeem(again), 'notes', 'tools/call', { name: 'echo', arguments: { text: 'x' } })).result);
    }));

    test(`many tools are folded, ${colorScheme}`, () => visit(phone, async (page) => {
      await page.goto(authorization({ resource: resource('toolbox') }).href);
      await logIn(page, ACCOUNT);
      await page.getByRole('button', { name: 'Approve' }).waitFor();
      await picture(page, `consent-many-tools-${colorScheme}`);
      for (const summary of await page.locator('summary').all()) await summary.click();
      await picture(page, `consent-many-tools-open-${colorScheme}`);
      assert.ok(await page.locator('input[name="tool"]').count() > 3);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no horizontal scrolling');
    }));
  }

  test('two tabs keep their transactions apart', () => visit({}, async (page, { context, expected }) => {
    const [first, second] = [authorization(), authorization()];
    await page.goto(first.href);
    const other = await context.newPage();
    await other.goto(second.href);
    await logIn(page, ACCOUNT);
    await page.getByRole('button', { name: /approve/i }).waitFor();
    await logIn(other, ACCOUNT);
    // The second login ended the first session, so a page from that session asks again.
    await consent(page);
    await page.getByRole('alert').waitFor();
    expected(/status of 403/);
    for (const [tab, asked] of [[other, second], [page, first]]) {
      const left = reaches(tab);
      await consent(tab);
      await left;
      assert.equal(arrived.at(-1).get('state'), asked.state);
      assert.ok(arrived.at(-1).get('code'));
    }
  }));

  test('no address that is kept holds a code or a state (LK-09)', () => visit({}, async (page) => {
    const kept = [];
    page.on('framenavigated', (frame) => kept.push(new URL(frame.url())));
    await authorize(page, authorization().href, ACCOUNT);
    const ours = kept.filter(({ origin }) => origin === gateway.origin);
    assert.ok(ours.length >= 2, `${kept}`);
    for (const { searchParams } of ours) assert.ok(!searchParams.has('code') && !searchParams.has('state'), `${kept}`);
    assert.equal(arrived.at(-1).referer, undefined, 'the browser sends the application no referrer');
  }));

  test('the back button gives no second code', () => visit({}, async (page, { expected }) => {
    const before = arrived.length;
    await authorize(page, authorization().href, ACCOUNT);
    assert.equal(arrived.length, before + 1);
    // Chromium swaps processes between two sites; until it has, there is no history to go back to.
    await page.waitForLoadState();
    await page.evaluate(() => document.readyState);
    await page.goBack();
    const again = page.getByRole('button', { name: /approve/i });
    if (await again.count()) {
      await again.click();
      await page.waitForLoadState();
    }
    expected(/status of 4\d\d/);
    await picture(page, 'back-button');
    assert.equal(arrived.slice(before).filter((answer) => answer.get('code')).length, 1);
    assert.equal(new URL(page.url()).origin, gateway.origin, 'the user stays on a page of the gateway');
  }));

  test('an unknown client is told on a page, never by redirect', () => visit({}, async (page, { expected }) => {
    const answer = await page.goto(authorization({ client_id: 'nobody' }).href);
    expected(/status of 400/);
    assert.equal(answer.status(), 400);
    await page.getByRole('alert').waitFor();
    await picture(page, 'error');
  }));

  test('without script', () => visit({ javaScriptEnabled: false }, async (page) => {
    await authorize(page, authorization().href, ACCOUNT);
    assert.ok(arrived.at(-1).get('code'));
  }));

  test('a person changes their password on the account page', () => visit({}, async (page, { expected }) => {
    const [first, second] = ['nine-otters-under-a-bridge', 'five-kettles-in-a-row'];
    const { name } = await newPerson(page, first);
    assert.match(await page.getByRole('status').innerText(), /you are signed in/);
    const change = async (present) => {
      if (!(await page.getByLabel('Current password').isVisible())) await page.getByText('Change your password').click();
      await page.getByLabel('Current password').fill(present);
      for (const label of [/^New password/, /^Confirm/]) await page.getByLabel(label).fill(second);
      await page.getByRole('button', { name: 'Change password' }).click();
    };
    await change('not my password');
    assert.match(await page.getByRole('alert').innerText(), /current password is wrong/);
    expected(/status of 400/);
    await picture(page, 'account-password');
    await change(first);
    assert.match(await page.getByRole('status').innerText(), /password is changed/);
    await picture(page, 'account-password-changed');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.goto(`${gateway.origin}/account`);
    await logIn(page, { name, password: second });
    await page.getByRole('heading', { name: 'Your account' }).waitFor();
  }));

  const smallPhone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, javaScriptEnabled: false };
  test('a person makes and revokes an API key on the account page of a phone, without script', () => visit(smallPhone, async (page) => {
    const fits = async () => {
      const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(widths[0] <= widths[1], `horizontal scrolling: ${widths}`);
    };
    const { password } = await newPerson(page);
    await page.getByText(/^Make an API key for/).first().click();
    await page.getByLabel('Name', { exact: true }).first().fill('nightly');
    await picture(page, 'account-key-form');
    await fits();
    await page.getByLabel('Your password').first().fill(password);
    await page.getByRole('button', { name: 'Make the key' }).first().click();
    assert.match(await page.locator('.secret code').innerText(), /^mcp_key_\w{60}$/);
    await picture(page, 'account-key-made');
    await fits();
    await page.getByRole('link', { name: 'Back to your account' }).click();
    await picture(page, 'account-keys');
    await fits();
    await page.getByRole('button', { name: 'Revoke nightly' }).click();
    assert.match(await page.getByRole('status').innerText(), /no longer accepted/);
  }));

  test('who sets a first password goes on to the application that waits', () => visit({}, async (page) => {
    await page.goto(authorization().href);
    await page.getByLabel(/password/i).waitFor();
    const { link } = await gateway.command('user', 'add', `grace-${randomBytes(4).toString('hex')}`);
    await page.goto(link);
    for (const label of ['New password', 'Confirm password']) await page.getByLabel(label).fill('nine-otters-under-a-bridge');
    await picture(page, 'setup');
    await page.getByRole('button', { name: 'Set password' }).click();
    const left = reaches(page);
    await consent(page);
    await left;
    assert.ok(arrived.at(-1).get('code'));
  }));

  for (const colorScheme of ['light', 'dark']) {
    const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme };
    test(`nine permissions on a phone, ${colorScheme}: the buttons are in reach`, () => visit(phone, async (page) => {
      const all = OFFICE.map(({ name }) => name).join(' ');
      const { client_id } = await registered(`Office, ${colorScheme}`);
      await page.goto(authorization({ client_id, resource: resource('office'), scope: all }).href);
      await logIn(page, ACCOUNT);
      const approve = page.getByRole('button', { name: 'Approve' });
      await approve.waitFor();
      const inSight = async (what) => {
        for (const name of ['Approve', 'Deny']) {
          const { y, height } = await page.getByRole('button', { name }).boundingBox();
          assert.ok(y >= 0 && y + height <= 740, `${name} ${what}: ${y} to ${y + height}`);
        }
      };
      assert.match(await page.locator('.dock').innerText(), /9 permissions, 2 sensitive/);
      await page.screenshot({ path: shot(`consent-nine-${colorScheme}-first`) });
      await inSight('on the first screen');
      assert.equal(await page.evaluate(() => scrollY), 0);
      await picture(page, `consent-nine-${colorScheme}`);
      // Sensitive permissions come first, marked with a word and a bar.
      const marked = page.locator('.sensitive');
      assert.equal(await marked.count(), OFFICE.filter(({ sensitive }) => sensitive).length);
      for (const item of await marked.all()) assert.match(await item.innerText(), /Sensitive/);
      // The summary names the folded permissions and opens without script, and no focused box is behind the buttons.
      assert.match(await page.locator('summary').innerText(), /3 more permissions: .*Make reports/s);
      await page.locator('summary').click();
      for (const box of await page.getByRole('checkbox').all()) {
        await box.focus();
        const [{ y, height }, bar] = [await box.boundingBox(), await page.locator('.dock').boundingBox()];
        assert.ok(y >= 0 && y + height <= bar.y, 'the focused box is not behind the buttons');
        await box.check();
      }
      await inSight('in the middle');
      await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
      await inSight('at the end');
      await page.screenshot({ path: shot(`consent-nine-${colorScheme}-end`) });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no horizontal scrolling');
      const left = reaches(page);
      await approve.click();
      await left;
      assert.ok(arrived.at(-1).get('code'));
    }));
  }

  const looks = {
    phone: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
    dark: { colorScheme: 'dark' },
    'forced-colours': { forcedColors: 'active' },
  };
  for (const [look, options] of Object.entries(looks)) {
    test(`looks: ${look}`, () => visit(options, async (page) => {
      const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
      await page.goto(authorization().href);
      await picture(page, `login-${look}`);
      assert.ok(await fits(), 'login: no horizontal scrolling');
      await logIn(page, ACCOUNT);
      await page.getByRole('button', { name: /approve/i }).waitFor();
      await picture(page, `consent-${look}`);
      assert.ok(await fits(), 'consent: no horizontal scrolling');
    }));
  }

  test('the page says who asks, and is loud only where nobody knows', async () => {
    const register = async (metadata) => {
      const body = JSON.stringify({ token_endpoint_auth_method: 'none', ...metadata });
      const answer = await fetch(`${gateway.origin}/register`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body,
      });
      return { client_id: (await answer.json()).client_id, redirect_uri: metadata.redirect_uris[0] };
    };
    const site = 'https://app.example/callback';
    const cases = {
      published: [{ client_id: documentUrl, redirect_uri: site }, 'Published by 127.0.0.1', false],
      local: [{ client_id: documentUrl, redirect_uri: 'http://127.0.0.1/callback' }, 'An application on this computer', false],
      unverified: [await register({ client_name: 'Teapot', redirect_uris: [site] }), 'It chose this name itself', true],
      nameless: [await register({ redirect_uris: [site] }), 'It gave no name', true],
      borrowed: [await register({ client_name: 'ClaudeAI', redirect_uris: [site] }), 'Its name resembles Claude', true],
    };
    for (const look of ['phone', 'dark']) {
      await visit(looks[look], async (page) => {
        await page.goto(authorization().href);
        await logIn(page, ACCOUNT);
        for (const [name, [asked, said, amber]] of Object.entries(cases)) {
          await page.goto(authorization(asked).href);
          await page.getByRole('button', { name: /approve/i }).waitFor();
          await picture(page, `consent-${name}-${look}`);
          const shown = (await page.locator('main').innerText()).replace(/\s+/g, ' ');
          assert.ok(shown.includes(said), `${name}: ${shown}`);
          assert.equal(await page.locator('.warn').count() > 0, amber, name);
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: too wide`);
        }
      });
    }
  });

  test('readable by a screen reader', () => visit({}, async (page) => {
    await page.goto(authorization().href);
    const named = async () => {
      for (const field of await page.locator('input:visible, button:visible, select:visible').all()) {
        const name = await field.evaluate((element) => element.labels?.[0]?.innerText || element.ariaLabel || element.innerText);
        assert.ok(name?.trim(), `a control without a name: ${await field.evaluate((element) => element.outerHTML)}`);
      }
      assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
      assert.equal(await page.getByRole('main').count(), 1);
      assert.ok(await page.locator('html').getAttribute('lang'));
    };
    await named();
    await logIn(page, ACCOUNT);
    await page.getByRole('button', { name: /approve/i }).waitFor();
    await named();
  }));
});

// `registration.mode = "approval"` in a real browser: a sign-in waits, the operator approves, and it goes on. A gateway of
// its own, because all others let clients register themselves.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { consent, launch, logIn, picture } from './browser.mjs';
import { ACCOUNT, startGateway } from './gateway.mjs';

let gateway;
let browser;
let callback;
let redirectUri;
const arrived = [];

before(async () => {
  gateway = await startGateway({ config: '[registration]\nmode = "approval"\n' });
  tls.setDefaultCACertificates([...tls.getCACertificates(), readFileSync(gateway.ca, 'utf8')]);
  browser = await launch(gateway.ca);
  callback = createServer((request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    if (url.pathname === '/callback') arrived.push(url.searchParams);
    response.end('<!doctype html><title>Back at the application</title>');
  });
  await new Promise((resolve) => callback.listen(0, '127.0.0.1', resolve));
  redirectUri = `http://127.0.0.1:${callback.address().port}/callback`;
});

after(async () => {
  callback?.closeAllConnections();
  callback?.close();
  await browser?.close();
  await gateway?.stop();
});

async function registered(name) {
  const answer = await fetch(`${gateway.origin}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: name, redirect_uris: [redirectUri], token_endpoint_auth_method: 'none' }),
  });
  assert.equal(answer.status, 201);
  return (await answer.json()).client_id;
}

function authorization(client) {
  const [verifier, state] = [randomBytes(32).toString('base64url'), randomBytes(8).toString('hex')];
  const url = new URL('/authorize', gateway.origin);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: client,
    redirect_uri: redirectUri,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    state,
    resource: `${gateway.origin}/mcp`,
  });
  return { href: url.href, verifier, state };
}

/** A page that waits for the operator, of a person who has signed in. */
async function waiting(client, options, deed) {
  const context = await browser.chrome.newContext(options);
  const page = await context.newPage();
  try {
    const asked = authorization(client);
    await page.goto(asked.href);
    await logIn(page, ACCOUNT);
    await page.getByRole('heading', { name: 'Waiting for approval' }).waitFor();
    await deed(page, asked);
  } catch (error) {
    await picture(page, `failed-approval-${Date.now()}`);
    throw error;
  } finally {
    await context.close();
  }
}

const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
const looks = { 'phone, light': { ...phone }, 'phone, dark, without script': { ...phone, colorScheme: 'dark', javaScriptEnabled: false } };

for (const [look, options] of Object.entries(looks)) {
  test(`a sign-in waits until the operator approves, and goes on by itself (${look})`, async () => {
    const client = await registered(`Teapot, ${look}`);
    await waiting(client, options, async (page, asked) => {
      await picture(page, `waiting-${look.replaceAll(/\W+/g, '-')}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no horizontal scrolling');
      const [listed] = await gateway.command('client', 'list', '--waiting');
      assert.deepEqual([listed.client_id, listed.waiting_user], [client, ACCOUNT.name]);
      await gateway.command('client', 'approve', client, '--hash', listed.approval_hash);
      // Nobody touches the page.
      await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 30_000 });
      const left = page.waitForURL((url) => url.href.startsWith(redirectUri));
      await consent(page);
      await left;
      assert.equal(arrived.at(-1).get('state'), asked.state);
      const answer = await fetch(`${gateway.origin}/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          client_id: client,
          code: arrived.at(-1).get('code'),
          redirect_uri: redirectUri,
          code_verifier: asked.verifier,
        }),
      });
      assert.ok((await answer.json()).access_token);
    });
  });
}

test('with the keyboard the page checks at once, stays as it is, and leads back to the application', async () => {
  await waiting(await registered('Keyboard'), {}, async (page, asked) => {
    const reach = async (name) => {
      for (let presses = 0; presses < 10; presses += 1) {
        await page.keyboard.press('Tab');
        if ((await page.evaluate(() => document.activeElement?.innerText)) === name) return page.keyboard.press('Enter');
      }
      throw new Error(`${name} is not reached`);
    };
    await reach('Do not reload this page by itself');
    await page.getByText('This page does not reload by itself.').waitFor();
    await reach('Check now');
    await page.getByText('This page does not reload by itself.').waitFor();
    const left = page.waitForURL((url) => url.href.startsWith(redirectUri));
    await reach('Back to the application');
    await left;
    const back = arrived.at(-1);
    assert.deepEqual([back.get('error'), back.get('state')], ['access_denied', asked.state]);
  });
});

test('a rejection is told on the page that waits', async () => {
  const client = await registered('Unwanted');
  await waiting(client, {}, async (page) => {
    await gateway.command('client', 'reject', client);
    await page.getByRole('heading', { name: 'This application may not connect' }).waitFor({ timeout: 30_000 });
    await picture(page, 'waiting-rejected');
    const left = page.waitForURL((url) => url.href.startsWith(redirectUri));
    await page.getByRole('button', { name: 'Back to the application' }).click();
    await left;
    assert.match(arrived.at(-1).get('error_description'), /has not let this application in/);
  });
});

// An application as the pages see it, which waits for its code on this computer, and a person's page in the browser.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { picture } from './browser.mjs';
import { browser, gateway, resource } from './environment.mjs';

/** Registers an application of this name and opens the server that its codes go to. */
export async function openApplication(name) {
  const arrived = [];
  const callback = createServer((request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    if (url.pathname === '/callback') arrived.push(Object.assign(url.searchParams, { referer: request.headers.referer }));
    response.end('<!doctype html><title>Back at the application</title>');
  });
  await new Promise((resolve) => callback.listen(0, '127.0.0.1', resolve));
  const uri = `http://127.0.0.1:${callback.address().port}/callback`;

  /** Registers an application. One with the same metadata is the same application. */
  const registered = async (named) => {
    const answer = await fetch(`${gateway.origin}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_name: named, redirect_uris: [uri], token_endpoint_auth_method: 'none' }),
    });
    return answer.json();
  };
  const client = await registered(name);

  const authorization = (changes = {}) => {
    const verifier = randomBytes(32).toString('base64url');
    const url = new URL('/authorize', gateway.origin);
    const parameters = {
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: uri,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      state: randomBytes(8).toString('hex'),
      resource: resource('demo'),
      ...changes,
    };
    for (const [key, value] of Object.entries(parameters)) url.searchParams.set(key, value);
    return { href: url.href, state: parameters.state, verifier, resource: parameters.resource };
  };

  /** Redeems the code that arrived last. */
  const redeem = async ({ verifier, resource: at }) => {
    const answer = await fetch(`${gateway.origin}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: client.client_id,
        code: arrived.at(-1).get('code'),
        redirect_uri: uri,
        code_verifier: verifier,
        resource: at,
      }),
    });
    return answer.json();
  };
  const reaches = (page) => page.waitForURL((url) => url.href.startsWith(uri));
  const close = () => {
    callback.closeAllConnections();
    callback.close();
  };
  return { arrived, authorization, client, close, reaches, redeem, registered };
}

/**
 * A page of a user with a fresh browser context. At the end it must have violated no content security policy, thrown no
 * error, and contacted only the gateway and the application.
 */
export async function visit(options, deed) {
  const context = await browser.chrome.newContext(options);
  const page = await context.newPage();
  const faults = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => {
    const { origin, hostname } = new URL(request.url());
    if (origin !== gateway.origin && hostname !== '127.0.0.1') faults.push(`asks ${origin}`);
  });
  if (options?.javaScriptEnabled !== false) {
    await page.exposeFunction('reportViolation', (text) => faults.push(text));
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI}`);
      });
    });
  }
  const expected = (pattern) => {
    // Chromium reports a 4xx document as a console error; a test that causes one declares it with `expected`.
    const at = faults.findIndex((fault) => pattern.test(fault));
    if (at >= 0) faults.splice(at, 1);
  };
  try {
    await deed(page, { context, expected });
    assert.deepEqual(faults, []);
  } catch (error) {
    await picture(page, `failed-page-${Date.now()}`);
    throw error;
  } finally {
    await context.close();
  }
}

/** Makes an account and sets its password by the link, which signs in; leaves the page at the account page. */
export async function newPerson(page, password = 'nine-otters-under-a-bridge') {
  const name = `ada-${randomBytes(4).toString('hex')}`;
  const { link } = await gateway.command('user', 'add', name);
  await page.goto(link);
  for (const label of ['New password', 'Confirm password']) await page.getByLabel(label).fill(password);
  await page.getByRole('button', { name: 'Set password' }).click();
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
  return { name, password };
}

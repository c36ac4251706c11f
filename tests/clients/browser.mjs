// One headless Chromium for the whole run, trusting the gateway's development CA as a user's would, and the desk: a
// loopback service that lets any client process, in any language, have a person log in and consent.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARTEFACTS = new URL('../artefacts/', import.meta.url).pathname;

// Without these Chromium looks up its maker's hosts at every start, which a machine without a network refuses.
export const QUIET = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
];

/** Starts Chromium with a fresh home whose certificate store holds `caFile`. */
export async function launch(caFile) {
  const home = mkdtempSync(join(tmpdir(), 'mcpgate-browser-'));
  const store = join(home, '.pki/nssdb');
  mkdirSync(store, { recursive: true });
  execFileSync('certutil', ['-d', `sql:${store}`, '-N', '--empty-password']);
  execFileSync('certutil', ['-d', `sql:${store}`, '-A', '-t', 'C,,', '-n', 'mcpgate development', '-i', caFile]);
  mkdirSync(ARTEFACTS, { recursive: true });
  const chrome = await chromium.launch({
    executablePath: EXECUTABLE,
    // A container has no user namespaces for Chromium's sandbox when it runs as root.
    chromiumSandbox: process.getuid() !== 0,
    args: QUIET,
    env: { ...process.env, HOME: home },
  });
  return {
    chrome,
    async close() {
      await chrome.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Where a picture is kept. */
export const shot = (name) => join(ARTEFACTS, `${name}.png`);

/** Keeps a picture of the whole page. */
export function picture(page, name) {
  return page.screenshot({ path: shot(name), fullPage: true });
}

/** Fills in the login form. */
export async function logIn(page, { name, password }) {
  await page.getByLabel(/user ?name|account|^name/i).fill(name);
  await page.getByLabel(/password/i).fill(password);
  await page.getByRole('button', { name: /sign in|log in|continue/i }).click();
}

/** Answers the consent page. */
export async function consent(page, decision = 'allow') {
  await page.getByRole('button', { name: decision === 'allow' ? /^(allow|approve)/i : /^(deny|cancel|refuse)/i }).click();
}

/**
 * A person at the browser: opens the authorization URL, logs in if asked, allows. Ends when the browser has left the
 * gateway for the client's redirect URI, and returns that address.
 */
export async function authorize(page, url, account) {
  const target = new URL(url);
  const back = target.searchParams.get('redirect_uri');
  const left = page.waitForURL((at) => at.href.startsWith(back), { waitUntil: 'commit', timeout: 60_000 });
  // Whoever fails first is reported; the other must not fail unheard.
  left.catch(() => {});
  await page.goto(url);
  if (await page.getByLabel(/password/i).count()) await logIn(page, account);
  // A client that is already trusted may be sent back without a question.
  if (page.url().startsWith(target.origin)) await consent(page);
  await left;
  return new URL(page.url());
}

/**
 * Opens the desk. `POST /browse {url, profile}` has the person of that profile (own cookies) walk through; whatever
 * else a client process needs from outside is a handler by path.
 */
export async function openDesk({ chrome }, account, handlers = {}) {
  const people = new Map();
  const person = (profile) => {
    if (!people.has(profile)) people.set(profile, chrome.newContext());
    return people.get(profile);
  };
  const browse = async ({ url, profile = 'default' }) => {
    const page = await (await person(profile)).newPage();
    try {
      await authorize(page, url, account);
    } catch (error) {
      await picture(page, `failed-${profile}`);
      throw new Error(`${error.message}\nat ${page.url()}\n${(await page.content()).slice(0, 4000)}`);
    } finally {
      await page.close();
    }
  };
  const served = { '/browse': browse, ...handlers };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      await served[request.url](JSON.parse(Buffer.concat(chunks)));
      response.end('done');
    } catch (error) {
      response.writeHead(500).end(error.message);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      for (const context of people.values()) await (await context).close();
    },
  };
}

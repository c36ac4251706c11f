// One headless Chromium for the whole run, which trusts the gateway's development CA as a user's browser would, and the
// browser service: a loopback service through which any client process, in any language, has a user log in and consent.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARTEFACTS = new URL('../artefacts/', import.meta.url).pathname;

// Without these flags Chromium contacts its vendor's hosts at every start, which fails on a machine without a network.
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
    // As root in a container, Chromium's sandbox has no user namespaces.
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

/** The path of a screenshot. */
export const shot = (name) => join(ARTEFACTS, `${name}.png`);

/** Saves a screenshot of the whole page. */
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
 * The user at the browser: opens the authorization URL, logs in if asked, and consents. Returns the redirect URI with
 * its parameters once the browser has left the gateway for it.
 */
export async function authorize(page, url, account) {
  const target = new URL(url);
  const back = target.searchParams.get('redirect_uri');
  const left = page.waitForURL((at) => at.href.startsWith(back), { waitUntil: 'commit', timeout: 60_000 });
  // The first failure is reported; the other must not become an unhandled rejection.
  left.catch(() => {});
  await page.goto(url);
  if (await page.getByLabel(/password/i).count()) await logIn(page, account);
  // A trusted client may be redirected without a consent page.
  if (page.url().startsWith(target.origin)) await consent(page);
  await left;
  return new URL(page.url());
}

/**
 * Starts the browser service. `POST /browse {url, profile}` signs in and consents as the user of that profile, who has
 * separate cookies; each of the `handlers` serves another request of the client processes, by its path.
 */
export async function openBrowserService({ chrome }, account, handlers = {}) {
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

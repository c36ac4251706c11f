// What all Node drivers share: settings, a loopback callback, access to the browser service, revocation.
import { createServer } from 'node:http';

/** Set by sdk.test.mjs in the environment. */
export const settings = JSON.parse(process.env.DRIVER);

/** Reports a step to the test. */
export function step(name, facts = {}) {
  process.stdout.write(`${JSON.stringify({ step: name, ...facts })}\n`);
}

/** Listens as a native application does (RFC 8252 7.3) and returns the parameters of each callback. */
export async function loopbackCallback() {
  const arrived = [];
  const waiting = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
    response.end('You may close this window.');
    if (pathname !== '/callback') return;
    const next = waiting.shift();
    if (next) next(searchParams);
    else arrived.push(searchParams);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/callback`,
    next: () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve))),
    close: () => server.close(),
  };
}

async function ask(path, body) {
  const answer = await fetch(new URL(path, settings.browserService), { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
}

/** Has the shared Chromium log in and consent; returns when the browser has reached the callback. */
export function openBrowser(url) {
  return ask('/browse', { url, profile: settings.profile });
}

/** Ends a grant, either by the client itself (RFC 7009) or by the operator's command line. */
export async function revokeGrant(how, client, refreshToken) {
  if (how === 'operator') {
    await ask('/revoke', { client_id: client.client_id });
    // The running server applies a revocation from the command line within a second.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return;
  }
  const answer = await fetch(new URL('/revoke', settings.url), {
    method: 'POST',
    body: new URLSearchParams({ token: refreshToken, client_id: client.client_id }),
  });
  if (answer.status !== 200) throw new Error(`/revoke answered ${answer.status}`);
}

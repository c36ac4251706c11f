// The people of the recipes in Chromium: each signs in to the gateway of a recipe, reads the permissions in the words of
// its page, and consents. The requests of programs are replayed in tests/outside/recipes.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { consent, logIn } from './browser.mjs';
import { blocks } from './documents.mjs';
import { browser, gateway as shared, upstreams } from './environment.mjs';
import { ACCOUNT, startGateway, until } from './gateway.mjs';

/** A recipe's page: its title, the path of its authorization endpoint, and what a person reads before consenting. */
const RECIPES = [
  {
    page: 'razorpay',
    title: 'Razorpay',
    authorize: '/authorize',
    client: 'My application',
    words: ['My application', 'Razorpay'],
    scope: 'read_only',
  },
  {
    page: 'payu',
    title: 'PayU',
    authorize: '/authorize',
    words: ['Transaction Access', 'Process refunds', 'Access settlement data', 'Report Generation'],
    scope: 'reports settlements transactions',
    revokeAt: '/security',
  },
  {
    page: 'conexor',
    title: 'Conexor',
    authorize: '/oauth/consent',
    client: 'Sales app',
    words: ['Sales app', 'Sales API'],
    asks: 'mcp:tools:read,mcp:tools:execute',
    scope: 'mcp:tools:execute mcp:tools:read',
  },
  {
    page: 'n8n-bridge',
    title: 'n8n MCP Bridge',
    authorize: '/oauth/authorize',
    client: 'My Mobile App',
    words: ['My Mobile App', 'n8n workflows', 'Execute workflows', 'read their results', 'n8n connection'],
    scope: 'n8n:execute',
  },
];

/** Starts the gateway of a recipe at an address of the test, before the demo server. */
function start({ page, title }) {
  const [text] = blocks(`recipes/${page}.md`, title, 'toml');
  const own = /^(public_url|address|certificate|key) = /;
  const kept = text.split('\n').filter((line) => !own.test(line));
  const config = kept.map((line) => line.replace(/^url = .*/, `url = "${upstreams[0].url}"`)).join('\n');
  return startGateway({ config, certificates: shared.data });
}

/** The words of the command on a recipe's page that adds a client of this name. */
function commandOf({ page, title, client }) {
  const commands = blocks(`recipes/${page}.md`, title, 'sh').join('').replaceAll('\\\n', ' ').split('\n');
  const command = commands.find((line) => line.startsWith(`mcpgate client add --name "${client}"`));
  assert.ok(command, `docs/recipes/${page}.md has no command that adds "${client}"`);
  const words = command.match(/"[^"]*"|\S+/g).map((word) => word.replaceAll('"', ''));
  return words.slice(1);
}

/** Adds the recipe's client as its page says; without one there, registers one as an application does by itself. */
async function clientOf(recipe, gateway) {
  if (recipe.client) return gateway.command(...commandOf(recipe));
  const registration = { client_name: 'An application', redirect_uris: ['http://localhost:8976/callback'] };
  const answer = await fetch(`${gateway.origin}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...registration, token_endpoint_auth_method: 'none' }),
  });
  assert.equal(answer.status, 201);
  return answer.json();
}

/** Goes the way of a person from the authorization request back to the application; returns the code. */
async function signIn(page, url, back, words) {
  // No application listens there: the request is what matters.
  const left = page.waitForRequest((request) => request.url().startsWith(back), { timeout: 60_000 });
  left.catch(() => {});
  await page.goto(url);
  if (await page.getByLabel(/password/i).count()) await logIn(page, ACCOUNT);
  const text = await page.locator('main').innerText();
  for (const each of words) assert.ok(text.includes(each), `${each} is not in\n${text}`);
  await consent(page);
  const answer = new URL((await left).url()).searchParams;
  assert.equal(answer.get('state'), 'random_state_value');
  return answer.get('code');
}

/** Begins a session of MCP; returns the status of the answer. */
async function initialize(gateway, token) {
  const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } };
  const message = { jsonrpc: '2.0', id: 1, method: 'initialize', params };
  const answer = await fetch(`${gateway.origin}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify(message),
  });
  await answer.arrayBuffer();
  return answer.status;
}

describe('the people of the recipes', { concurrency: true }, () => {
  for (const recipe of RECIPES) {
    test(recipe.title, async () => {
      const gateway = await start(recipe);
      const context = await browser.chrome.newContext();
      try {
        const client = await clientOf(recipe, gateway);
        const [back] = client.redirect_uris;
        const verifier = randomBytes(32).toString('base64url');
        const query = new URLSearchParams({
          response_type: 'code',
          client_id: client.client_id,
          redirect_uri: back,
          state: 'random_state_value',
          code_challenge: createHash('sha256').update(verifier).digest('base64url'),
          code_challenge_method: 'S256',
          ...(recipe.asks && { scope: recipe.asks }),
        });
        const page = await context.newPage();
        const code = await signIn(page, `${gateway.origin}${recipe.authorize}?${query}`, back, recipe.words);
        const { client_id, client_secret } = client;
        const own = { client_id, ...(client_secret && { client_secret }) };
        const form = { grant_type: 'authorization_code', code, redirect_uri: back, code_verifier: verifier, ...own };
        const answer = await fetch(`${gateway.origin}/token`, { method: 'POST', body: new URLSearchParams(form) });
        const tokens = await answer.json();
        assert.equal(tokens.scope, recipe.scope, JSON.stringify(tokens));

        if (!recipe.revokeAt) return;
        assert.equal(await initialize(gateway, tokens.access_token), 200);
        // The other page is still on its way to an application that does not listen.
        const account = await context.newPage();
        await account.goto(gateway.origin + recipe.revokeAt);
        assert.match(await account.locator('main').innerText(), /An application/);
        await account.getByRole('button', { name: /(disconnect|revoke|end).*An application/i }).first().click();
        await until('the token ends', async () => {
          assert.equal(await initialize(gateway, tokens.access_token), 401);
        });
      } finally {
        await context.close();
        await gateway.stop();
      }
    });
  }
});

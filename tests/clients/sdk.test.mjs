// The official SDK clients, each through discovery, registration, login and consent in Chromium, calls, progress,
// refresh after expiry, and revocation by the client and by the operator. They run in parallel, because each waits a
// minute for its access token to expire.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { drive, SDKS } from './clients.mjs';
import { documentUrl, gateway, resource } from './environment.mjs';

describe('SDK clients before the demo upstream', { concurrency: true }, () => {
  for (const client of SDKS) {
    test(client[0], async () => {
      const { steps, one } = await drive(client, 'demo', { full: true });
      assert.match(one('registered').client_id, /^mcp_client_/);
      assert.equal(one('browser').resource, resource('demo'));
      const tokens = one('tokens');
      assert.ok(tokens.refresh, 'a refresh token comes with the access token');
      assert.ok(tokens.expires_in === 60 || tokens.expires_in === 59, `${tokens.expires_in} s of a minute are left`);
      assert.deepEqual(one('connected').tools, ['add', 'add_note', 'count', 'delete_note', 'echo', 'list_notes', 'whoami']);
      assert.equal(one('echo').text, 'Grüße ✓');
      assert.match(one('add').text, /42/);
      const identity = one('whoami').text.toLowerCase();
      assert.ok(identity.includes(one('registered').client_id.toLowerCase()), 'the upstream receives the client id');
      assert.ok(!identity.includes('bearer'), 'the upstream does not receive the token');
      assert.ok(one('catalogue').resources >= 1 && one('catalogue').prompts >= 1);
      const progress = one('progress');
      assert.ok(progress.events >= 5, `five progress events, not ${progress.events}`);
      assert.ok(progress.spread >= 200, `events arrive as they happen, not within ${progress.spread} ms`);
      assert.deepEqual(one('refreshed'), { step: 'refreshed', changed: true, openings: 1 });
      for (const how of ['RFC 7009', 'operator']) {
        const revoked = one('revoked', (seen) => seen.how === how);
        assert.equal(revoked.reopened, 1, `${how}: the next request is refused and the user has to sign in again`);
        assert.equal(revoked.text, how);
      }
      assert.equal(steps.filter((seen) => seen.step === 'browser').length, 3);
    });
  }
});

// One after the other: they are one client to the user, and what it has is part of what a consent page shows.
describe('SDK clients whose id is the URL of their metadata', { concurrency: 1 }, () => {
  for (const client of SDKS) {
    test(client[0], async () => {
      const wishes = { full: false, documentUrl, tool: 'echo', arguments: { text: 'documented' } };
      const { one } = await drive(client, 'demo', wishes);
      assert.equal(one('registered').client_id, documentUrl);
      assert.match(one('called').text, /documented/);
    });
  }
});

const SERVERS = [
  ['everything', {
    tool: 'test_simple_text',
    arguments: {},
    progressTool: { name: 'test_tool_with_progress', arguments: {} },
  }],
  ['reference', {
    tool: 'echo',
    arguments: { message: 'hello' },
    progressTool: { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 4 } },
    samplingTool: { name: 'trigger-sampling-request', arguments: { prompt: 'hello', maxTokens: 10 } },
  }],
  ['python', {
    tool: 'reverse',
    arguments: { text: 'hello' },
    progressTool: { name: 'slow', arguments: { steps: 4 } },
  }],
];
const SAID = { everything: /simple text response/, reference: /hello/, python: /olleh/ };

describe('SDK clients before the SDKs\' own servers', { concurrency: 2 }, () => {
  for (const client of SDKS) {
    for (const [upstream, wishes] of SERVERS) {
      test(`${client[0]}: ${upstream}`, async () => {
        const { one } = await drive(client, upstream, { full: false, ...wishes });
        assert.match(one('called').text, SAID[upstream]);
        assert.ok(one('progress').events >= 3);
        // The server sends a request to the client during a call, on the call's stream; the client answers it with a
        // separate POST.
        if (wishes.samplingTool) assert.match(one('sampled').text, /sampled/);
      });
    }
  }
});

describe('SDK clients that need another scope', { concurrency: 2 }, () => {
  for (const client of SDKS) {
    test(client[0], async () => {
      const stepUp = { name: 'add_note', arguments: { text: `by ${client[0]}` } };
      const { steps, one } = await drive(client, 'notes', { full: false, stepUp });
      assert.equal(one('tokens').scope, 'notes:read');
      assert.deepEqual(one('connected').tools, ['echo', 'list_notes']);
      const { text, scope, openings, tools } = one('stepped up');
      assert.match(text, /^Added/);
      assert.equal(scope, 'notes:read notes:write', 'what it had, and what the call needs');
      // The second generation keeps a list for as long as the server says (2026-07-28, `ttlMs`).
      assert.deepEqual(tools, client[0].endsWith('v2') ? ['echo', 'list_notes'] : ['add_note', 'echo', 'list_notes']);
      assert.equal(openings, 2, 'one login, and one more for the scope');
      const gaveUp = steps.filter((seen) => seen.step === 'gave up');
      if (client[0] === 'TypeScript SDK v1') {
        assert.match(gaveUp[0].message, /403 after trying upscoping/);
        assert.equal(gaveUp[0].openings, 1);
      } else {
        assert.equal(gaveUp.length, 0);
      }
    });
  }
});

describe('SDK clients before an upstream that needs a token for some tools only', { concurrency: 2 }, () => {
  for (const client of SDKS) {
    test(client[0], async () => {
      const open = await drive(client, 'library', { full: false, tool: 'echo', arguments: { text: 'nobody' } });
      assert.match(open.one('called').text, /nobody/);
      assert.deepEqual(open.one('connected').tools, ['echo']);
      assert.deepEqual(open.steps.filter(({ step }) => ['registered', 'browser', 'tokens'].includes(step)), []);
      // The login comes in the middle of the session, which goes on.
      const stepUp = { name: 'add_note', arguments: { text: `signed by ${client[0]}` } };
      const { one } = await drive(client, 'library', { full: false, stepUp });
      assert.deepEqual(one('connected').tools, ['echo']);
      const { text, scope, openings } = one('stepped up');
      assert.match(text, /^Added/);
      assert.equal(scope, 'library:use');
      assert.equal(openings, 1);
    });
  }
});

// How often the user has been asked in the end: at the login, and at each call that a client or its application makes.
const ASKED = { 'TypeScript SDK v1': 1, 'TypeScript SDK v2': 3, 'Python SDK v1': 2, 'Python SDK v2': 2 };

describe('SDK clients whose user leaves the scope unticked', { concurrency: 2 }, () => {
  for (const client of SDKS) {
    test(client[0], async () => {
      // The box of a sensitive scope is not ticked in advance.
      const untickedCall = { name: 'delete_note', arguments: { number: 1 } };
      const { steps, one } = await drive(client, 'notes', { full: false, untickedCall });
      assert.equal(steps.filter((seen) => seen.step === 'answered').length, 0);
      const { openings, scope } = one('refused');
      assert.equal(scope, 'notes:read');
      assert.equal(openings, ASKED[client[0]], 'nobody asks again and again');
    });
  }
});

test('the gateway logged no secret', () => {
  assert.doesNotMatch(gateway.process.output, /mcp_(access|refresh|secret)_[A-Za-z0-9]{8}|code_verifier|seven-boats/);
});

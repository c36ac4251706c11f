// The official conformance suite: its authorization-server scenarios against the gateway, and its server scenarios
// twice, directly and through the gateway: the results must be equal.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { browserService, gateway, resource, run, trusting, upstreams } from './environment.mjs';
import { child, freePort } from './gateway.mjs';
import { openShim } from './shim.mjs';

const SUITE = new URL('node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url).pathname;

/** Reads the status of every check that a run left in `folder`, by `scenario check`. */
function results(folder) {
  const found = new Map();
  for (const entry of readdirSync(folder)) {
    const scenario = entry.replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    const counts = new Map();
    for (const { id, status, errorMessage } of JSON.parse(readFileSync(join(folder, entry, 'checks.json'), 'utf8'))) {
      // A check that runs several times in a scenario is numbered in order.
      const number = (counts.get(id) ?? 0) + 1;
      counts.set(id, number);
      found.set(`${scenario} ${id} ${number}`, { status, errorMessage });
    }
  }
  return found;
}

async function suite(words, env = trusting) {
  const folder = mkdtempSync(join(tmpdir(), 'mcpgate-conformance-'));
  const running = child(process.execPath, [SUITE, ...words, '-o', folder], { env });
  return {
    running,
    async finish() {
      const status = await running.ended;
      const found = results(folder);
      rmSync(folder, { recursive: true });
      assert.ok(found.size > 0, `the suite ended with ${status} and no result\n${running.output}`);
      return found;
    },
  };
}

const failures = (found) => [...found].filter(([, { status }]) => status === 'FAILURE' || status === 'WARNING');

async function registeredClient(port) {
  const words = ['client', 'add', '--name', 'Conformance suite', '--redirect-uri', `http://127.0.0.1:${port}/callback`];
  return gateway.command(...words);
}

for (const revision of ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28']) {
  test(`authorization server scenarios, ${revision}`, async () => {
    const port = await freePort();
    const { client_id, client_secret } = await registeredClient(port);
    const words = ['authorization', '--url', gateway.origin, '--client-id', client_id, '--resource', resource('everything')];
    if (client_secret) words.push('--client-secret', client_secret);
    const { running, finish } = await suite([...words, '--port', String(port), '--spec-version', revision]);
    let opened = false;
    running.stdout.on('data', () => {
      const url = running.output.match(/https:\/\/\S+\/authorize\?\S+/)?.[0];
      if (!url || opened) return;
      opened = true;
      fetch(`${browserService.url}/browse`, { method: 'POST', body: JSON.stringify({ url, profile: 'conformance' }) });
    });
    const found = await finish();
    assert.ok(opened, `the suite did not open a browser\n${running.output}`);
    assert.deepEqual(failures(found), []);
  });
}

test('server scenarios give the same result as without the gateway', async (context) => {
  const { url } = upstreams.find(({ name }) => name === 'everything');
  const direct = await (await suite(['server', '--url', url, '--suite', 'all'])).finish();
  const { access_token } = await gateway.command('token', 'issue', '--user', 'admin', '--upstream', 'everything');
  const shim = await openShim(resource('everything'), access_token);
  const through = await (await suite(['server', '--url', shim.url, '--suite', 'all'])).finish();
  shim.close();
  const passed = [...direct.values()].filter(({ status }) => status === 'SUCCESS').length;
  context.diagnostic(`${direct.size} checks, ${passed} of them successes without the gateway`);
  assert.ok(passed > 190, `the reference server itself passes, ${passed} of ${direct.size}`);
  const different = [...new Set([...direct.keys(), ...through.keys()])]
    .filter((check) => direct.get(check)?.status !== through.get(check)?.status)
    .map((check) => ({ check, direct: direct.get(check), through: through.get(check) }));
  assert.deepEqual(different, []);
});

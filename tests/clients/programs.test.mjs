// Foreign programs, started as their users start them: MCP Inspector's command line, mcp-remote, and the Rust SDK's
// client.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import tls from 'node:tls';
import { inspector, throughMcpRemote } from './clients.mjs';
import { browserService, gateway, resource, run } from './environment.mjs';

const here = (path) => new URL(path, import.meta.url).pathname;
const listTools = ['--method', 'tools/list'];
const callTool = (name, arg) => ['--method', 'tools/call', '--tool-name', name, '--tool-arg', arg];

/** The words by which the Inspector uses a token of the operator's. */
async function bearer(upstream) {
  const { access_token } = await gateway.command('token', 'issue', '--user', 'admin', '--upstream', upstream);
  return ['--header', `Authorization: Bearer ${access_token}`, '--stored-auth-only'];
}

test('Inspector with a bearer header', async () => {
  const inspect = await inspector('demo');
  const token = await bearer('demo');
  for (const era of ['legacy', 'modern']) {
    const words = [...callTool('echo', 'text=inspected'), ...token, '--protocol-era', era];
    assert.match(await inspect(words), /inspected/);
  }
});

test("Inspector before the SDK's own server", async () => {
  const inspect = await inspector('reference');
  const words = [...callTool('echo', 'message=inspected'), ...(await bearer('reference')), '--protocol-era', 'legacy'];
  assert.match(await inspect(words), /inspected/);
});

test('Inspector logs in by itself', async () => {
  const inspect = await inspector('demo');
  const output = await inspect(listTools);
  for (const tool of ['add', 'add_note', 'count', 'echo', 'whoami']) assert.match(output, new RegExp(tool));
});

test('mcp-remote stands between a local client and the gateway', async () => {
  await throughMcpRemote('demo', async (client) => {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), ['add', 'add_note', 'count', 'delete_note', 'echo', 'list_notes', 'whoami']);
    const seen = [];
    const count = { name: 'count', arguments: { to: 4 } };
    await client.callTool(count, { onprogress: () => seen.push(Date.now()) });
    // The last event may still be on its way through two programs when the answer arrives.
    assert.ok(seen.length >= 3, `progress events: ${seen.length}`);
  });
  await throughMcpRemote('reference', async (client) => {
    const { content } = await client.callTool({ name: 'echo', arguments: { message: 'through both' } });
    assert.match(content[0].text, /through both/);
  });
});

test('mcp-remote steps up for a call', async () => {
  await throughMcpRemote('notes', async (client) => {
    const names = async () => (await client.listTools()).tools.map(({ name }) => name).sort();
    assert.deepEqual(await names(), ['echo', 'list_notes']);
    const { content } = await client.callTool({ name: 'add_note', arguments: { text: 'through both' } });
    assert.match(content[0].text, /^Added/);
    assert.deepEqual(await names(), ['add_note', 'echo', 'list_notes']);
  });
});

test('the development certificate has no address in it for clients that ask by name', async () => {
  // BoringSSL, and so Claude Code, rejects IP addresses in a certificate if a CA above it is constrained to certain
  // addresses.
  const { port } = new URL(gateway.origin);
  const names = async (options) => {
    const socket = tls.connect({ host: '127.0.0.1', port, ca: readFileSync(gateway.ca), ...options });
    await once(socket, 'secureConnect');
    const { subjectaltname } = socket.getPeerCertificate();
    socket.destroy();
    return subjectaltname;
  };
  assert.equal(await names({ servername: 'localhost' }), 'DNS:localhost');
  assert.match(await names({}), /DNS:localhost, IP Address:127\.0\.0\.1/);
});

test('rmcp, through the same Chromium', async () => {
  const urls = { MCPGATE_URL: resource('demo'), MCPGATE_OTHER_URL: resource('reference') };
  const env = { ...process.env, ...urls, MCPGATE_BROWSER_SERVICE: browserService.url, MCPGATE_CA: gateway.ca };
  const words = ['test', '--quiet', '--manifest-path', here('../../Cargo.toml'), '--test', 'outside', 'rmcp_goes_all_the_way'];
  assert.match(await run('cargo', words, { env, seconds: 600 }), /1 passed/);
});

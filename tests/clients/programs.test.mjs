// Foreign programs, started as their users start them: MCP Inspector's command line, mcp-remote, and the Rust SDK's
// client.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { browserService, gateway, resource, run, trusting } from './environment.mjs';
import { freePort } from './gateway.mjs';

const here = (path) => new URL(path, import.meta.url).pathname;
const INSPECTOR = here('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');

/**
 * An environment in which a program finds no state of earlier runs and opens its browser through the browser service.
 */
function fresh(profile) {
  const home = mkdtempSync(join(tmpdir(), 'mcpgate-program-'));
  const opening = { BROWSER: here('open.mjs'), BROWSER_SERVICE: browserService.url, PROFILE: profile };
  return { ...trusting, HOME: home, ...opening, DISPLAY: '' };
}

const inspector = (url, ...words) => ['--cli', url, '--transport', 'http', '--format', 'json', ...words];

test('Inspector with a bearer header', async () => {
  const { access_token } = await gateway.command('token', 'issue', '--user', 'admin', '--upstream', 'demo');
  const words = ['--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'text=inspected'];
  const bearer = ['--header', `Authorization: Bearer ${access_token}`, '--stored-auth-only'];
  for (const era of ['legacy', 'modern']) {
    const command = [INSPECTOR, ...inspector(resource('demo'), ...words, ...bearer, '--protocol-era', era)];
    assert.match(await run(process.execPath, command, { env: fresh('inspector') }), /inspected/);
  }
});

test("Inspector before the SDK's own server", async () => {
  const { access_token } = await gateway.command('token', 'issue', '--user', 'admin', '--upstream', 'reference');
  const words = ['--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message=inspected'];
  const bearer = ['--header', `Authorization: Bearer ${access_token}`, '--stored-auth-only', '--protocol-era', 'legacy'];
  const command = [INSPECTOR, ...inspector(resource('reference'), ...words, ...bearer)];
  assert.match(await run(process.execPath, command, { env: fresh('inspector reference') }), /inspected/);
});

test('Inspector logs in by itself', async () => {
  const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`;
  const words = ['--method', 'tools/list', '--callback-url', callback];
  const output = await run(process.execPath, [INSPECTOR, ...inspector(resource('demo'), ...words)], {
    // Without a terminal the program asks for this before it opens a browser.
    env: { ...fresh('inspector login'), MCP_AUTO_OPEN_ENABLED: 'true' },
  });
  for (const tool of ['add', 'add_note', 'count', 'echo', 'whoami']) assert.match(output, new RegExp(tool));
});

test('Inspector sees only what its token may use, and calls nothing else', async () => {
  const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`;
  const env = { ...fresh('inspector notes'), MCP_AUTO_OPEN_ENABLED: 'true' };
  const inspect = (...words) => {
    const command = [INSPECTOR, ...inspector(resource('notes'), ...words, '--callback-url', callback)];
    return run(process.execPath, command, { env });
  };
  const listed = await inspect('--method', 'tools/list');
  assert.match(listed, /list_notes/);
  assert.doesNotMatch(listed, /add_note|delete_note/);
  // It looks a tool up in the list before it calls it, so it is never told which scope it lacks.
  const call = ['--method', 'tools/call', '--tool-name', 'add_note', '--tool-arg', 'text=inspected'];
  await assert.rejects(inspect(...call), /Tool 'add_note' not found on server/);
});

/** A client of a local mcp-remote in front of an upstream. */
async function throughMcpRemote(upstream, use) {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [here('node_modules/mcp-remote/dist/proxy.js'), resource(upstream), String(await freePort())],
    env: fresh(`mcp-remote ${upstream}`),
    stderr: 'pipe',
  });
  let said = '';
  transport.stderr.on('data', (text) => (said += text));
  const client = new Client({ name: 'local', version: '1' });
  try {
    await client.connect(transport, { timeout: 60_000 });
    await use(client);
  } catch (error) {
    throw new Error(`${error.message}\n${said}`, { cause: error });
  } finally {
    await client.close();
  }
}

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

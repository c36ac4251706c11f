// The clients that the suites drive: the SDKs (`drivers`), and programs as their users start them.
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { browserService, PYTHON, resource, run, trusting } from './environment.mjs';
import { freePort } from './gateway.mjs';

const here = (path) => new URL(path, import.meta.url).pathname;
const INSPECTOR = here('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');

/** The generations of the official SDKs: a name, and how its driver is started. */
export const SDKS = [
  ['TypeScript SDK v1', process.execPath, [here('drivers/typescript.mjs'), 'v1']],
  ['TypeScript SDK v2', process.execPath, [here('drivers/typescript.mjs'), 'v2']],
  ['Python SDK v1', PYTHON.v1, [here('drivers/python_sdk.py'), 'v1']],
  ['Python SDK v2', PYTHON.v2, [here('drivers/python_sdk.py'), 'v2']],
];

/** Runs the driver of an SDK to its end; returns the steps that it reports. */
export async function drive([name, command, args], upstream, wishes) {
  const settings = { url: resource(upstream), browserService: browserService.url, profile: `${name} ${upstream}`, ...wishes };
  const output = await run(command, args, { env: { ...trusting, DRIVER: JSON.stringify(settings) } });
  const steps = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  return {
    steps,
    one(step, where = () => true) {
      const found = steps.filter((seen) => seen.step === step && where(seen));
      assert.ok(found.length > 0, `no step "${step}" in\n${output}`);
      return found[0];
    },
  };
}

/**
 * An environment in which a program finds no state of earlier runs and opens its browser through the browser service.
 */
function fresh(profile) {
  const home = mkdtempSync(join(tmpdir(), 'mcpgate-program-'));
  const opening = { BROWSER: here('open.mjs'), BROWSER_SERVICE: browserService.url, PROFILE: profile };
  return { ...trusting, HOME: home, ...opening, DISPLAY: '' };
}

/** The Inspector's command line before an upstream: a function that runs it with these words, and with what it keeps. */
export async function inspector(upstream) {
  // Without a terminal the program asks for this before it opens a browser.
  const env = { ...fresh(`inspector ${upstream}`), MCP_AUTO_OPEN_ENABLED: 'true', MCP_INSPECTOR_SECRET_STORE: 'file' };
  const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`;
  const always = ['--cli', resource(upstream), '--transport', 'http', '--format', 'json', '--callback-url', callback];
  return (words, options) => run(process.execPath, [INSPECTOR, ...always, ...words], { env, ...options });
}

/** A client of a local mcp-remote in front of an upstream. */
export async function throughMcpRemote(upstream, use) {
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
    await use(client, () => said);
  } catch (error) {
    throw new Error(`${error.message}\n${said}`, { cause: error });
  } finally {
    await client.close();
  }
}

// The servers of docs/upstreams.md, each exactly as on the page except for its port, behind a gateway: they learn who
// is calling, and accept that only from the gateway.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { blocks, replaced } from './documents.mjs';
import { browserService, gateway as trusted, PYTHON, run, trusting } from './environment.mjs';
import { ACCOUNT, BINARY, child, freePort, until } from './gateway.mjs';

const here = (path) => new URL(path, import.meta.url).pathname;
const KEY = 'a-key-that-only-the-gateway-has';
const ADA = 'ada.l-1_x+mcp@example.com';

const [fastMcp] = blocks('upstreams.md', 'FastMCP (Python)', 'python');
const [sdkV1, sdkV2] = blocks('upstreams.md', 'Python SDK', 'python');
const [typescript, typescriptV1] = blocks('upstreams.md', 'TypeScript SDK', 'typescript');
const [go] = blocks('upstreams.md', 'Go', 'go');
const [goGuard, goGuarded] = blocks('upstreams.md', 'Asking for a secret', 'go');
const [guard] = blocks('upstreams.md', 'Asking for a secret', 'python');
const [secretHeader] = blocks('upstreams.md', 'When the fields can be trusted', 'toml');
const [host] = blocks('upstreams.md', 'The Host header', 'toml');
// As the page says: replaces the last line, and listens on the network.
const network = [['127.0.0.1', '0.0.0.0']];
const guarded = (server) => server.replace(/\nserver\.run.*\n$/, `\n${replaced(guard, network)}`);
const inGo = replaced(go, [[/^\thttp\.Handle\(.*\n/m.exec(go)[0], `\t${goGuarded}`], ...network]);

const withPackage = (server) => replaced(server, [['server.streamable_http_app()', 'server.http_app()']]);

const SERVERS = [
  { name: 'fastmcp', file: 'server.py', program: PYTHON.fastmcp, text: fastMcp },
  { name: 'fastmcp-guarded', file: 'server.py', program: PYTHON.fastmcp, text: withPackage(guarded(fastMcp)), asks: true },
  { name: 'python-v1', file: 'server.py', program: PYTHON.v1, text: sdkV1 },
  { name: 'python-v1-guarded', file: 'server.py', program: PYTHON.v1, text: guarded(sdkV1), asks: true, isChoosy: true },
  { name: 'python-v2', file: 'server.py', program: PYTHON.v2, text: sdkV2 },
  { name: 'python-v2-guarded', file: 'server.py', program: PYTHON.v2, text: guarded(sdkV2), asks: true, isChoosy: true },
  { name: 'typescript', file: 'server.mts', program: process.execPath, text: typescript },
  { name: 'typescript-v1', file: 'server.mts', program: process.execPath, text: typescriptV1 },
  { name: 'go', file: 'main.go', text: go },
  { name: 'go-guarded', file: 'main.go', text: inGo, beside: { 'guard.go': goGuard }, asks: true },
];

const home = mkdtempSync(join(tmpdir(), 'mcpgate-upstreams-'));
const running = [];

/** Compiles the Go files of a folder with the standard library alone; returns the program. */
async function compiled(folder) {
  // The compiler downloads no module and no toolchain, and leaves no files behind.
  const settings = { GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local' };
  const env = { ...process.env, ...settings, GOCACHE: join(home, 'go-cache'), GOPATH: join(home, 'go') };
  const files = readdirSync(folder).filter((name) => name.endsWith('.go'));
  await run('go', ['build', '-o', 'server', ...files], { env, cwd: folder });
  return join(folder, 'server');
}

/** Starts a server with its port changed, in its own folder, where it finds its packages. */
async function start(server) {
  const folder = mkdtempSync(join(home, 'server-'));
  symlinkSync(here('node_modules'), join(folder, 'node_modules'));
  server.port = await freePort();
  const script = join(folder, server.file);
  writeFileSync(script, replaced(server.text, [['8000', String(server.port)]]));
  for (const [name, text] of Object.entries(server.beside ?? {})) writeFileSync(join(folder, name), text);
  const [program, ...args] = server.program ? [server.program, script] : [await compiled(folder)];
  const process_ = child(program, args, { cwd: folder, env: { ...process.env, GATEWAY_KEY: KEY } });
  running.push(process_);
  server.said = () => process_.output;
  await until(`${server.name} does not start`, async () => {
    if (process_.exitCode !== null) throw new Error(process_.output);
    await (await fetch(direct(server), { method: 'OPTIONS' })).arrayBuffer();
  }).catch((error) => {
    throw new Error(`${error.message}\n${process_.output}`);
  });
}

const direct = (server) => `http://127.0.0.1:${server.port}/mcp`;

/** Calls `whoami` as an SDK client does, with these headers in every request. */
async function whoami(url, headers) {
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  const { content } = await client.callTool({ name: 'whoami', arguments: {} });
  await client.close();
  return content[0].text;
}

describe('the servers of docs/upstreams.md', () => {
  let origin;
  let mcpgate;

  before(async () => {
    await Promise.all(SERVERS.map(start));
    const [port, operator] = [await freePort(), await freePort()];
    origin = `https://localhost:${port}`;
    const secret = join(home, 'gateway-key');
    writeFileSync(secret, KEY, { mode: 0o600 });
    const upstream = (server) => {
      // Through an address that the Python SDK does not accept as the host.
      const url = server.asks ? direct(server).replace('127.0.0.1', '127.0.0.2') : direct(server);
      const changed = [
        ['"notes"', `"${server.name}"`],
        ['"/mcp"', `"/mcp/${server.name}"`],
        ['http://10.0.0.7:8000/mcp', url],
        ['/run/secrets/gateway-key', secret],
      ];
      const written = replaced(secretHeader, changed);
      // The other servers do not use the secret.
      if (!server.asks) return written.replace(/^headers.*\n/m, '');
      return written + replaced(host, [['8000', String(server.port)]]);
    };
    const config = join(home, 'gateway.toml');
    writeFileSync(config, `
public_url = "${origin}"
data_dir = "${home}/data"

[listen]
address = "127.0.0.1:${port}"
certificate = "${join(trusted.data, 'certs/server.pem')}"
key = "${join(trusted.data, 'certs/server-key.pem')}"

[operator]
address = "127.0.0.1:${operator}"

${SERVERS.map(upstream).join('\n')}`);
    const password = join(home, 'password');
    writeFileSync(password, ACCOUNT.password, { mode: 0o600 });
    mkdirSync(join(home, 'data'), { mode: 0o700 });
    mcpgate = (...words) => promisify(execFile)(BINARY, [...words, '--config', config]);
    for (const name of [ACCOUNT.name, ADA]) await mcpgate('user', 'add', name, '--password-file', password);
    const gateway = child(BINARY, ['serve', '--config', config]);
    running.push(gateway);
    await until('mcpgate does not start', async () => {
      if (gateway.exitCode !== null) throw new Error(gateway.output);
      await fetch(`http://127.0.0.1:${operator}/healthz`);
    });
  });

  after(async () => {
    await Promise.all(running.map((process_) => process_.stop()));
    rmSync(home, { recursive: true });
  });

  for (const server of SERVERS) {
    test(`${server.name} is told who has signed in`, async () => {
      const settings = {
        url: `${origin}/mcp/${server.name}`,
        browserService: browserService.url,
        profile: `who calls ${server.name}`,
        full: false,
        tool: 'whoami',
        arguments: {},
      };
      const env = { ...trusting, DRIVER: JSON.stringify(settings) };
      const output = await run(process.execPath, [here('drivers/typescript.mjs'), 'v2'], { env });
      const steps = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
      assert.equal(steps.find(({ step }) => step === 'called').text, ACCOUNT.name);
    });

    test(`${server.name} is told by the gateway alone`, async () => {
      const issued = await mcpgate('token', 'issue', '--user', ADA, '--upstream', server.name, '--json');
      const { access_token } = JSON.parse(issued.stdout);
      const lies = { 'X-Mcpgate-User': 'root', 'x-gateway-key': 'guessed' };
      const told = await whoami(`${origin}/mcp/${server.name}`, { authorization: `Bearer ${access_token}`, ...lies });
      assert.equal(told, ADA);
    });

    test(`${server.name} reads a name beyond ASCII`, async () => {
      // In the encoding that the gateway uses; no account of this version can have such a name.
      const headers = { 'X-Mcpgate-User': 'zo%C3%AB+%25%20x', ...(server.asks && { 'X-Gateway-Key': KEY }) };
      assert.equal(await whoami(direct(server), headers), 'zoë+% x');
    });

    if (server.isChoosy) {
      test(`${server.name} wants the host that the page names`, async () => {
        assert.doesNotMatch(server.said(), /Invalid Host header/, 'the gateway names the right one');
        const headers = { accept: 'text/event-stream', 'x-gateway-key': KEY };
        const answer = await fetch(direct(server).replace('127.0.0.1', '127.0.0.2'), { headers });
        assert.deepEqual([answer.status, await answer.text()], [421, 'Invalid Host header']);
      });
    }

    if (server.asks) {
      test(`${server.name} refuses whoever does not have the secret`, async () => {
        for (const key of [undefined, '', 'guessed']) {
          const headers = { 'content-type': 'application/json', ...(key !== undefined && { 'x-gateway-key': key }) };
          const answer = await fetch(direct(server), { method: 'POST', headers, body: '{}' });
          assert.equal(answer.status, 403, await answer.text());
        }
      });
    }
  }
});

test('docs/upstreams.md names the versions that the tests run', () => {
  const page = readFileSync(here('../../docs/upstreams.md'), 'utf8');
  const { dependencies } = JSON.parse(readFileSync(here('package.json'), 'utf8'));
  const python = (file, name) => new RegExp(`^${name}==(.*)$`, 'm').exec(readFileSync(here(file), 'utf8'))[1];
  const mcp = ['v1', 'v2'].map((generation) => python(`requirements-python-${generation}.txt`, 'mcp'));
  for (const sentence of [
    `\`fastmcp\` ${python('requirements-python-fastmcp.txt', 'fastmcp')}`,
    `\`mcp\` ${mcp.join(' and ')}`,
    ...['server', 'sdk'].map((name) => `\`@modelcontextprotocol/${name}\` ${dependencies[`@modelcontextprotocol/${name}`]}`),
  ]) {
    assert.ok(page.includes(sentence), sentence);
  }
});

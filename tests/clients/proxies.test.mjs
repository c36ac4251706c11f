// The recipes of docs/proxies.md, each exactly as on the page, in front of a gateway with the page's configuration.
// Only what a test machine cannot have is replaced: the public name, port 443, the certificate files.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { request as send } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { blocks, replaced } from './documents.mjs';
import { browserService, gateway as trusted, run, trusting, upstreams } from './environment.mjs';
import { ACCOUNT, BINARY, child, freePort, until } from './gateway.mjs';

const HERE = new URL('.', import.meta.url).pathname;
// Longer than the default timeouts of nginx (60 s) and Debian's HAProxy (50 s).
const SLOW = 62_000;
// Not 127.0.0.1, which is the proxy's own address.
const CLIENT = '127.0.0.9';

const home = mkdtempSync(join(tmpdir(), 'mcpgate-proxies-'));
const certificate = join(trusted.data, 'certs/server.pem');
const key = join(trusted.data, 'certs/server-key.pem');
const pem = join(home, 'both.pem');
writeFileSync(pem, readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'), { mode: 0o600 });

const HTTP = "The gateway's own configuration";
const PROXY_HEADER = 'PROXY protocol';

// The configuration around a recipe on a machine that also serves other sites: defaults that the recipe has to
// override.
const nginxAround = (folder, inside) => `
${process.getuid() === 0 ? 'user root;' : ''}
daemon off;
pid ${folder}/pid;
error_log stderr;
worker_processes 1;
events {}
${inside}`;
const nginxHttp = (folder, recipe) => nginxAround(folder, `
http {
  access_log off;
  gzip on;
  gzip_types *;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`).join('\n  ')}
  ${recipe}
}`);
const nginxStream = (folder, recipe) =>
  `load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n${nginxAround(folder, recipe)}`;
const haproxyAround = (recipe) => `
defaults
  mode http
  timeout connect 5000
  timeout client 50000
  timeout server 50000
${recipe}`;

/**
 * A recipe: the blocks of the page, the replacements in them, and the command that starts the proxy with the result.
 */
const RECIPES = {
  nginx: {
    gateway: HTTP,
    block: () => blocks('proxies.md', 'nginx', 'nginx')[0],
    replace: ({ port, behind }) => [
      ['listen 443 ', `listen ${port} `],
      ['127.0.0.1:8443', `127.0.0.1:${behind}`],
      ['server_name mcp.example.com', 'server_name localhost'],
      ['/etc/mcpgate/tls/fullchain.pem', certificate],
      ['/etc/mcpgate/tls/key.pem', key],
    ],
    start: (folder, recipe) => ['nginx', ['-e', 'stderr', '-c', file(folder, nginxHttp(folder, recipe))]],
  },
  'nginx, passing TLS through': {
    gateway: PROXY_HEADER,
    block: () => blocks('proxies.md', 'nginx', 'nginx')[1],
    replace: ({ port, behind }) => [
      ['listen 443;', `listen ${port};`],
      ['127.0.0.1:8443', `127.0.0.1:${behind}`],
    ],
    start: (folder, recipe) => ['nginx', ['-e', 'stderr', '-c', file(folder, nginxStream(folder, recipe))]],
  },
  HAProxy: {
    gateway: HTTP,
    block: () => blocks('proxies.md', 'HAProxy', 'haproxy')[0],
    replace: ({ port, behind }) => [
      ['bind :443 ', `bind :${port} `],
      ['127.0.0.1:8443', `127.0.0.1:${behind}`],
      ['/etc/haproxy/mcp.example.com.pem', pem],
    ],
    start: (folder, recipe) => ['haproxy', ['-db', '-f', file(folder, haproxyAround(recipe))]],
  },
  'HAProxy, passing TLS through': {
    gateway: PROXY_HEADER,
    block: () => blocks('proxies.md', 'HAProxy', 'haproxy')[1],
    replace: ({ port, behind }) => [
      ['bind :443\n', `bind :${port}\n`],
      ['127.0.0.1:8443', `127.0.0.1:${behind}`],
    ],
    start: (folder, recipe) => ['haproxy', ['-db', '-f', file(folder, haproxyAround(recipe))]],
  },
  Caddy: {
    gateway: HTTP,
    block: () => blocks('proxies.md', 'Caddy', 'caddyfile')[0],
    replace: ({ port, behind }) => [
      // Caddy would request a certificate for the name itself.
      ['mcp.example.com {', `https://localhost:${port} {\n    tls ${certificate} ${key}`],
      ['127.0.0.1:8443', `127.0.0.1:${behind}`],
    ],
    start: (folder, recipe) => {
      const global = '{\n  admin off\n  auto_https disable_redirects\n  skip_install_trust\n}\n';
      return ['caddy', ['run', '--adapter', 'caddyfile', '--config', file(folder, global + recipe)]];
    },
  },
};

function file(folder, text) {
  const path = join(folder, 'proxy.conf');
  writeFileSync(path, text);
  return path;
}

/** The gateway's configuration from the page, with the public port and the additions that a test needs. */
function configuration(heading, port, behind, folder) {
  const written = blocks('proxies.md', heading, 'toml')[0];
  const pairs = [
    ['https://mcp.example.com', `https://localhost:${port}`],
    ['127.0.0.1:8443', `127.0.0.1:${behind}`],
  ];
  if (heading === PROXY_HEADER) {
    pairs.push(['/etc/mcpgate/tls/fullchain.pem', certificate], ['/etc/mcpgate/tls/key.pem', key]);
  }
  return `data_dir = "${folder}/data"\n${replaced(written, pairs)}`;
}

// An upstream that reports the requests that reached it, answers as slowly as the request says, and notices when a
// client leaves.
const calls = new Map();
const upstream = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const event = (data) => response.write(`data: ${JSON.stringify(data)}\n\n`);
  const stream = () => response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  if (request.method === 'GET') {
    stream();
    return void event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'standing' } });
  }
  const { id, params } = JSON.parse(body);
  // The gateway probes with a ping, which has no parameters.
  const { name, arguments: given } = params ?? { name: 'facts' };
  const result = (told) => ({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: JSON.stringify(told) }] } });
  const json = (told) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(result(told)));
  };
  if (name === 'facts') return json({ from: request.headers['x-forwarded-for'], length: body.length });
  if (name === 'slow') return void setTimeout(() => json('slow'), given.milliseconds).unref();
  if (name === 'steps') {
    stream();
    for (let step = 0; step < 5; step += 1) {
      event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: step } });
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    event(result('steps'));
    return void response.end();
  }
  // A call that never ends, as JSON or as a stream.
  calls.get(given.key).left = once(response, 'close');
  calls.get(given.key).arrived();
  if (name === 'endless stream') stream();
});

/** A running proxy with its gateway. */
async function build(name, recipe) {
  const folder = mkdtempSync(join(home, 'recipe-'));
  const [port, behind, operator] = [await freePort(), await freePort(), await freePort()];
  const config = join(folder, 'gateway.toml');
  writeFileSync(config, `${configuration(recipe.gateway, port, behind, folder)}
[operator]
address = "127.0.0.1:${operator}"

[[upstream]]
name = "probe"
path = "/mcp"
url = "http://127.0.0.1:${upstream.address().port}/mcp"

[[upstream]]
name = "demo"
path = "/mcp/demo"
url = "${upstreams.find((one) => one.name === 'demo').url}"
`);
  const password = join(folder, 'password');
  writeFileSync(password, ACCOUNT.password, { mode: 0o600 });
  mkdirSync(join(folder, 'data'), { mode: 0o700 });
  const mcpgate = (...words) => promisify(execFile)(BINARY, [...words, '--config', config]);
  await mcpgate('user', 'add', ACCOUNT.name, '--password-file', password);
  const gateway = child(BINARY, ['serve', '--config', config]);
  const text = replaced(recipe.block(), recipe.replace({ port, behind }));
  const [program, words] = recipe.start(folder, text);
  const proxy = child(program, words, { env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
  const origin = `https://localhost:${port}`;
  const site = { name, origin, said: () => `${gateway.output}\n${proxy.output}`, mcpgate, token: undefined };
  site.stop = async () => {
    await proxy.stop();
    return gateway.stop();
  };
  try {
    await until(`${name} does not start`, async () => {
      if (gateway.exitCode !== null || proxy.exitCode !== null) throw new Error(site.said());
      const answer = await ask(site, '/.well-known/oauth-authorization-server');
      assert.equal(answer.status, 200, answer.text);
    });
    const issued = await mcpgate('token', 'issue', '--user', ACCOUNT.name, '--upstream', 'probe', '--json');
    site.token = JSON.parse(issued.stdout).access_token;
  } catch (error) {
    await site.stop();
    throw new Error(`${error.message}\n${site.said()}`, { cause: error });
  }
  return site;
}

/** Sends a request from the client's address; returns it and a promise of the head of its answer. */
function open(site, path, { method = 'GET', headers = {}, body } = {}) {
  const agent = false;
  const options = { method, headers, agent, localAddress: CLIENT, family: 4, ca: readFileSync(trusted.ca) };
  const request = send(site.origin + path, options);
  const head = once(request, 'response').then(([response]) => response);
  head.catch(() => {});
  request.end(body);
  return { request, head };
}

async function ask(site, path, options) {
  const response = await open(site, path, options).head;
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode, headers: response.headers, text };
}

const MCP = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** A tool call as a request. */
function call(site, name, given = {}, headers = {}) {
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: given } };
  const version = { 'mcp-protocol-version': '2025-06-18' };
  const bearer = { authorization: `Bearer ${site.token}` };
  return { method: 'POST', headers: { ...MCP, ...version, ...bearer, ...headers }, body: JSON.stringify(message) };
}

const told = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(JSON.parse(answer.text).result.content[0].text);
};

/** Runs a step for every proxy in parallel and names the one that fails. */
async function everywhere(sites, step) {
  await Promise.all(sites.map(async (site) => {
    try {
      await step(site);
    } catch (error) {
      throw new Error(`${site.name}: ${error.message}\n${site.said().slice(-4000)}`, { cause: error });
    }
  }));
}

describe('the recipes of docs/proxies.md', () => {
  let sites = [];
  let slow;

  before(async () => {
    await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    const built = await Promise.allSettled(Object.entries(RECIPES).map(([name, recipe]) => build(name, recipe)));
    sites = built.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
    for (const { reason } of built) if (reason) throw reason;
    // Starts first and is awaited last, in parallel with all other tests.
    slow = everywhere(sites, async (site) => {
      // A client that accepts event streams would receive keep-alive comments meanwhile.
      const slowly = call(site, 'slow', { milliseconds: SLOW }, { accept: 'application/json' });
      assert.equal(told(await ask(site, '/mcp', slowly)), 'slow');
    });
    slow.catch(() => {});
  });

  after(async () => {
    upstream.closeAllConnections();
    upstream.close();
    await Promise.all(sites.map((site) => site.stop()));
    rmSync(home, { recursive: true });
  });

  test('discovery names the public address', () => everywhere(sites, async (site) => {
    const refused = await ask(site, '/mcp', { method: 'POST', headers: MCP, body: '{}' });
    assert.equal(refused.status, 401);
    const { groups } = /resource_metadata="(?<url>[^"]+)"/.exec(refused.headers['www-authenticate']);
    assert.equal(groups.url, `${site.origin}/.well-known/oauth-protected-resource/mcp`);
    const resource = JSON.parse((await ask(site, groups.url.slice(site.origin.length))).text);
    assert.equal(resource.resource, `${site.origin}/mcp`);
    const server = JSON.parse((await ask(site, '/.well-known/oauth-authorization-server')).text);
    assert.deepEqual([resource.authorization_servers[0], server.issuer], [site.origin, site.origin]);
    const doubled = await ask(site, '//mcp', call(site, 'facts'));
    assert.notEqual(doubled.status, 200, 'the gateway sees the path as it was sent');
  }));

  test('a client signs in through the browser, and progress comes as it happens', () => everywhere(sites, async (site) => {
    const settings = {
      url: `${site.origin}/mcp/demo`,
      browserService: browserService.url,
      profile: `through ${site.name}`,
      full: false,
      tool: 'echo',
      arguments: { text: 'through a proxy' },
      progressTool: { name: 'count', arguments: { to: 5 } },
    };
    const env = { ...trusting, DRIVER: JSON.stringify(settings) };
    const output = await run(process.execPath, [join(HERE, 'drivers/typescript.mjs'), 'v2'], { env });
    const steps = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
    const one = (wanted) => steps.find(({ step }) => step === wanted);
    assert.equal(one('called').text, 'through a proxy');
    assert.ok(one('progress').events >= 5 && one('progress').spread >= 200, output);
  }));

  test('the gateway knows the client by its address, whatever the client says', () => everywhere(sites, async (site) => {
    const lie = { 'x-forwarded-for': '203.0.113.9' };
    const { from } = told(await ask(site, '/mcp', call(site, 'facts', {}, lie)));
    assert.equal(from.split(', ')[0], CLIENT, from);
  }));

  test('streams are neither buffered nor compressed', () => everywhere(sites, async (site) => {
    const begun = Date.now();
    const encodings = { 'accept-encoding': 'gzip, br' };
    const response = await open(site, '/mcp', call(site, 'steps', {}, encodings)).head;
    assert.equal(response.headers['content-encoding'], undefined);
    const times = [];
    for await (const piece of response.setEncoding('utf8')) times.push([Date.now() - begun, piece]);
    assert.ok(times.length >= 5 && times.at(-1)[0] - times[0][0] >= 600, JSON.stringify(times));
  }));

  test('a standing stream begins at once and is kept alive', () => everywhere(sites, async (site) => {
    const { headers } = call(site, 'none');
    const { request, head } = open(site, '/mcp', { headers: { ...headers, accept: 'text/event-stream' } });
    const response = await head;
    assert.equal(response.statusCode, 200);
    let text = '';
    for await (const piece of response.setEncoding('utf8')) {
      text += piece;
      // The first comment comes after timeouts.sse_keep_alive.
      if (/standing[^]*^:/m.test(text)) break;
    }
    request.destroy();
    assert.match(text, /standing/);
  }));

  test('a client that leaves cancels its call', () => everywhere(sites, async (site) => {
    for (const name of ['endless stream', 'endless']) {
      const entry = {};
      const arrived = new Promise((resolve) => (entry.arrived = resolve));
      const id = `${site.name} ${name}`;
      calls.set(id, entry);
      const { request, head } = open(site, '/mcp', call(site, name, { key: id }));
      request.on('error', () => {});
      await arrived;
      if (name === 'endless stream') (await head).on('error', () => {});
      request.destroy();
      const late = new Promise((resolve) => setTimeout(resolve, 10_000, 'late').unref());
      assert.notEqual(await Promise.race([entry.left, late]), 'late', `${name}: the upstream did not see the client leave`);
    }
  }));

  test('as much passes as the gateway takes', () => everywhere(sites, async (site) => {
    const text = 'x'.repeat(4 * 1024 * 1024 - 1000);
    assert.ok(told(await ask(site, '/mcp', call(site, 'facts', { text }))).length > text.length);

    const redirect = 'http://127.0.0.1:9/callback';
    const metadata = { client_name: 'Long', redirect_uris: [redirect], token_endpoint_auth_method: 'none' };
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify(metadata);
    const registered = JSON.parse((await ask(site, '/register', { method: 'POST', headers, body })).text);
    // The error returns to the client by redirect, so the long state is in both heads.
    const state = '%7E'.repeat(4096);
    const query = `response_type=token&client_id=${registered.client_id}&redirect_uri=${encodeURIComponent(redirect)}`;
    const answer = await ask(site, `/authorize?${query}&state=${state}`);
    assert.ok(answer.status === 302 || answer.status === 303, `${answer.status} ${answer.text}`);
    const back = new URL(answer.headers.location).searchParams;
    assert.equal(back.get('error'), 'unsupported_response_type');
    assert.equal(back.get('state').length, 4096);
  }));

  test('an answer may take longer than a minute', () => slow);
});

test('every configuration of the gateway in docs/proxies.md is good', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcpgate-proxies-'));
  for (const heading of [HTTP, PROXY_HEADER, 'AWS Application Load Balancer']) {
    let written = blocks('proxies.md', heading, 'toml')[0];
    if (heading === PROXY_HEADER) {
      written = replaced(written, [
        ['/etc/mcpgate/tls/fullchain.pem', certificate],
        ['/etc/mcpgate/tls/key.pem', key],
        // The test certificate is for this name.
        ['https://mcp.example.com', 'https://localhost'],
      ]);
    }
    const config = join(folder, 'gateway.toml');
    const rest = '[[upstream]]\nname = "files"\npath = "/mcp"\nurl = "http://127.0.0.1:8000/mcp"\n';
    writeFileSync(config, `data_dir = "${folder}/data"\n${written}\n${rest}`);
    await run(BINARY, ['check', '--config', config]);
  }
  rmSync(folder, { recursive: true });
});

// The programs of docs/programs.md and the configuration lines of docs/clients.md, run exactly as on the pages.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { consent, logIn } from './browser.mjs';
import { blocks, replaced } from './documents.mjs';
import { browser, browserService, gateway, PYTHON, resource, run, trusting } from './environment.mjs';
import { ACCOUNT, BINARY, child, freePort, until } from './gateway.mjs';

const here = (path) => new URL(path, import.meta.url).pathname;

/** Runs a script in its own folder, where it finds its packages as after `npm install`. */
async function inFolder(name, text, use) {
  const folder = mkdtempSync(join(tmpdir(), 'mcpgate-scripts-'));
  symlinkSync(here('node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, name), text);
  try {
    await use(folder, join(folder, name));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const SCRIPTS = [
  ['Python', 'py', PYTHON.v2, blocks('programs.md', 'Python scripts', 'python')],
  ['TypeScript', 'mts', process.execPath, blocks('programs.md', 'TypeScript scripts', 'typescript')],
];

describe('the scripts of docs/programs.md', { concurrency: true }, () => {
  for (const [language, extension, program, [call, signIn]] of SCRIPTS) {
    test(`${language}, with a token`, () => inFolder(`call.${extension}`, call, async (folder, script) => {
      const { access_token } = await gateway.command('token', 'issue', '--user', 'admin', '--upstream', 'demo');
      const env = { ...trusting, MCP_URL: resource('demo'), MCP_TOKEN: access_token };
      const output = await run(program, [script], { env });
      assert.match(output, /echo[^]*hello/);
    }));

    test(`${language}, with a sign-in that is kept`, async () => {
      const text = replaced(signIn, [['8976', String(await freePort())]]);
      await inFolder(`sign_in.${extension}`, text, async (folder, script) => {
        const opening = { BROWSER: here('open.mjs'), BROWSER_SERVICE: browserService.url };
        const browser = { ...opening, PROFILE: `script in ${language}`, DISPLAY: '' };
        const env = { ...trusting, MCP_URL: resource('demo'), ...browser };
        // Both keep their state in the folder where they run.
        const options = { env, cwd: folder };
        assert.match(await run(program, [script], options), /hello/);
        const kept = JSON.parse(readFileSync(join(folder, 'mcp-login.json'), 'utf8'));
        assert.ok(kept.tokens.refresh_token, 'the script stores a refresh token');
        const nobody = { ...options, env: { ...env, BROWSER: '/bin/false' } };
        assert.match(await run(program, [script], nobody), /hello/, 'the second run needs no sign-in');
      });
    });
  }
});

const SERVICES = [
  ['Python SDK v2', 'py', PYTHON.v2, blocks('programs.md', 'Services in an SDK', 'python')[0]],
  ['TypeScript SDK v2', 'mts', process.execPath, blocks('programs.md', 'Services in an SDK', 'typescript')[0]],
  ['Python SDK v1', 'py', PYTHON.v1, readFileSync(here('drivers/service_v1.py'), 'utf8')],
  ['TypeScript SDK v1', 'mjs', process.execPath, readFileSync(here('drivers/service_v1.mjs'), 'utf8')],
];

describe('programs that act for themselves', { concurrency: true }, () => {
  const words = ['client', 'add', '--grant', 'client_credentials', '--confidential', '--upstream', 'demo'];
  const scope = ['--scope', 'demo:use'];

  for (const [name, extension, program, text] of SERVICES) {
    test(name, () => inFolder(`service.${extension}`, text, async (folder, script) => {
      const added = await gateway.command(...words, ...scope, '--name', name);
      const own = { CLIENT_ID: added.client_id, CLIENT_SECRET: added.client_secret, ISSUER: gateway.origin };
      const output = await run(program, [script], { env: { ...trusting, MCP_URL: resource('demo'), ...own } });
      assert.match(output, /hello/);
      const sessions = await gateway.command('session', 'list', '--client', added.client_id);
      assert.deepEqual(sessions.map(({ user, scopes }) => [user, scopes]), [[null, ['demo:use']]]);
    }));
  }

  // What a program needs instead of its secret; each SDK signs assertions by itself.
  const signing = {
    'TypeScript SDK v2': [
      ['ClientCredentialsProvider', 'PrivateKeyJwtProvider'],
      ['clientSecret: process.env.CLIENT_SECRET!', "privateKey: process.env.PRIVATE_KEY!, algorithm: 'ES256'"],
    ],
    'Python SDK v1': [
      ['import ClientCredentialsOAuthProvider', 'import PrivateKeyJWTOAuthProvider, SignedJWTParameters'],
      ['= ClientCredentialsOAuthProvider', '= PrivateKeyJWTOAuthProvider'],
      ['client_secret=os.environ["CLIENT_SECRET"]', `assertion_provider=SignedJWTParameters(
            issuer=os.environ["CLIENT_ID"],
            subject=os.environ["CLIENT_ID"],
            signing_key=os.environ["PRIVATE_KEY"],
            signing_algorithm="ES256",
        ).create_assertion_provider()`],
    ],
  };
  /** Adds a client that authenticates with a key; returns its id and the key. */
  async function addWithKey(folder, name) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const keys = join(folder, 'keys.json');
    writeFileSync(keys, JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }));
    const grant = ['client', 'add', '--grant', 'client_credentials', '--jwks', keys, '--upstream', 'demo'];
    const added = await gateway.command(...grant, ...scope, '--name', name);
    assert.equal(added.client_secret, undefined);
    return { id: added.client_id, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
  }

  for (const [name, extension, program, text] of SERVICES.filter(([name]) => signing[name])) {
    test(`${name}, with a key`, () => inFolder(`service.${extension}`, replaced(text, signing[name]), async (folder, script) => {
      const { id, key } = await addWithKey(folder, name);
      const own = { CLIENT_ID: id, PRIVATE_KEY: key, ISSUER: gateway.origin };
      const output = await run(program, [script], { env: { ...trusting, MCP_URL: resource('demo'), ...own } });
      assert.match(output, /hello/);
    }));
  }

  for (const method of ['client_secret_basic', 'client_secret_post', 'private_key_jwt']) {
    test(`Authlib, by ${method}`, () => inFolder('service.py', readFileSync(here('drivers/service_authlib.py'), 'utf8'), async (folder, script) => {
      const withKey = method === 'private_key_jwt' && await addWithKey(folder, 'Authlib');
      const added = withKey || await gateway.command(...words, ...scope, '--name', 'Authlib', '--auth-method', method);
      const own = { CLIENT_ID: added.id ?? added.client_id, CLIENT_SECRET: added.key ?? added.client_secret };
      const env = { ...trusting, ...own, AUTH_METHOD: method, ISSUER: gateway.origin, MCP_URL: resource('demo') };
      assert.equal((await run(PYTHON.authlib, [script], { env })).trim(), 'demo:use');
    }));
  }

  test('curl, with the line of the page', async () => {
    const added = await gateway.command(...words, ...scope, '--name', 'curl');
    const written = blocks('programs.md', 'Programs without a person', 'sh')[1].trim();
    const line = replaced(written, [
      ['https://mcp.example.com', gateway.origin],
      ['$CLIENT_ID:$CLIENT_SECRET', `${added.client_id}:${added.client_secret}`],
    ]);
    const answer = JSON.parse(await run('sh', ['-c', `${line} --cacert ${gateway.ca}`], { env: trusting }));
    assert.equal(answer.scope, 'demo:use');
    assert.equal(answer.refresh_token, undefined);
  });
});

/** Answers the browsers that come to a redirect URI where nobody listens in real life; returns their addresses in turn. */
async function caught(port) {
  const addresses = [];
  const server = createServer((request, response) => {
    if (request.url.startsWith('/callback')) addresses.push(`http://127.0.0.1:${port}${request.url}`);
    response.end();
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { addresses, close: () => server.close() };
}

test('curl, step by step', async () => {
  const port = await freePort();
  const script = replaced(blocks('programs.md', 'What happens in a sign-in', 'sh')[0], [['8977', String(port)]]);
  const env = { ...process.env, MCP_URL: resource('demo'), CURL_CA_BUNDLE: gateway.ca };
  const running = child('sh', ['-c', script], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const url = await until('no address to open', async () => {
    const [, found] = /^Open (\S+)\n/m.exec(running.output) ?? [];
    return found ?? Promise.reject(new Error(running.output));
  });
  const callback = await caught(port);
  await fetch(`${browserService.url}/browse`, { method: 'POST', body: JSON.stringify({ url, profile: 'curl' }) });
  running.stdin.end(`${callback.addresses[0]}\n`);
  assert.equal(await running.ended, 0, running.output);
  callback.close();
  assert.match(running.output, /"text":"hello"/);
  const sessions = await gateway.command('session', 'list', '--client', new URL(url).searchParams.get('client_id'));
  assert.deepEqual(sessions, [], 'the script signs out');
});

test('a web site on Node', async () => {
  const port = await freePort();
  const words = ['--upstream', 'demo', '--confidential', '--redirect-uri', `http://127.0.0.1:${port}/callback`];
  const added = await gateway.command('client', 'add', '--name', 'My site', ...words);
  const program = replaced(blocks('programs.md', 'A web site', 'javascript')[0], [['8976', String(port)]]);
  await inFolder('web.mjs', program, async (folder, script) => {
    const own = { CLIENT_ID: added.client_id, CLIENT_SECRET: added.client_secret, ISSUER: gateway.origin };
    const site = child(process.execPath, [script], { env: { ...trusting, ...own, MCP_URL: resource('demo') } });
    const context = await browser.chrome.newContext();
    try {
      const page = await context.newPage();
      const url = `http://127.0.0.1:${port}/`;
      await until('the site does not start', () => page.goto(url));
      await logIn(page, ACCOUNT);
      await consent(page);
      await page.waitForURL(url);
      assert.match(await page.textContent('body'), /hello/);
      assert.equal(await page.evaluate(() => document.cookie), '', 'scripts of the page do not see the session');
      // An answer that belongs to no sign-in of this browser.
      const foreign = await page.goto(`${url}callback?code=stolen&state=guessed`);
      assert.equal(foreign.status(), 500);
      await page.goto(url);
      assert.match(await page.textContent('body'), /hello/, 'it does not end the sign-in');
    } finally {
      await context.close();
      await site.stop();
    }
  });
});

test('the Rust program', async () => {
  const source = readFileSync(here('drivers/service.rs'), 'utf8');
  // The page leaves out what is about this project's lints.
  assert.equal(blocks('programs.md', 'Services in an SDK', 'rust')[0], source.replace(/^#!\[expect.*\n/m, ''));
  const words = ['client', 'add', '--grant', 'client_credentials', '--confidential', '--upstream', 'demo', '--scope', 'demo:use'];
  const added = await gateway.command(...words, '--name', 'Rust');
  const own = { CLIENT_ID: added.client_id, CLIENT_SECRET: added.client_secret };
  const output = await run(join(dirname(BINARY), 'examples/service'), [], { env: { ...trusting, ...own, MCP_URL: resource('demo') } });
  assert.match(output, /hello/);
});

test('the commands of the pages are commands of mcpgate', async () => {
  const written = ['Copilot Studio', 'n8n'].map((heading) => blocks('clients.md', heading, 'sh')[0]);
  written.push(...['Programs without a person', 'A web site'].map((heading) => blocks('programs.md', heading, 'sh')[0]));
  for (const line of written) {
    assert.match(line, /^mcpgate client add /);
    const words = replaced(line.replaceAll('\\\n', ''), [[/--upstream (files|mcp)/.exec(line)[0], '--upstream demo'], ...line.includes('files:read') ? [['files:read', 'demo:use']] : []]).trim();
    const told = words.match(/"[^"]*"|\S+/g).slice(1).map((word) => word.replaceAll('"', ''));
    const client = await gateway.command(...told);
    assert.ok(client.client_id && client.client_secret, line);
  }
});

test('the command lines for MCP Inspector', async () => {
  const launcher = here('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');
  const { access_token } = await gateway.command('token', 'issue', '--user', 'admin', '--upstream', 'demo');
  const written = blocks('clients.md', 'MCP Inspector', 'sh')[1].replaceAll('\\\n', '').trim();
  const lines = replaced(written, [
    ['https://localhost:8443/mcp', resource('demo')],
    ['$(mcpgate token issue --user admin --upstream mcp)', access_token],
  ]).split('\n');
  assert.equal(lines.length, 2);
  const home = mkdtempSync(join(tmpdir(), 'mcpgate-scripts-'));
  const opening = { BROWSER: here('open.mjs'), BROWSER_SERVICE: browserService.url };
  const browser = { ...opening, PROFILE: 'Inspector of the page', DISPLAY: '' };
  // Without a terminal the program asks for this before it opens a browser.
  const env = { ...trusting, ...browser, HOME: home, MCP_AUTO_OPEN_ENABLED: 'true' };
  const callback = ['--callback-url', `http://127.0.0.1:${await freePort()}/oauth/callback`];
  for (const line of lines) {
    const words = line.match(/"[^"]*"|\S+/g).map((word) => word.replaceAll('"', ''));
    assert.deepEqual(words.splice(0, 2), ['npx', '@modelcontextprotocol/inspector@latest']);
    const output = await run(process.execPath, [launcher, ...words, ...callback], { env });
    for (const tool of ['add', 'count', 'echo', 'whoami']) assert.match(output, new RegExp(tool));
  }
  rmSync(home, { recursive: true });
});

test('docs/clients.md names the versions that the tests run', () => {
  const page = readFileSync(here('../../docs/clients.md'), 'utf8');
  const { dependencies } = JSON.parse(readFileSync(here('package.json'), 'utf8'));
  const python = (file) => /^mcp==(.*)$/m.exec(readFileSync(here(file), 'utf8'))[1];
  const row = (of) => page.split('\n').find((line) => line.startsWith(`| [${of}](`));
  for (const [of, ...versions] of [
    ['MCP Inspector', dependencies['@modelcontextprotocol/inspector']],
    ['mcp-remote', dependencies['mcp-remote']],
    ['Python scripts', python('requirements-python-v2.txt'), python('requirements-python-v1.txt')],
    ['TypeScript scripts', dependencies['@modelcontextprotocol/client'], dependencies['@modelcontextprotocol/sdk']],
  ]) {
    for (const version of versions) assert.ok(row(of).includes(version), `${of}: ${version}`);
  }
});

test('the JSON of docs/clients.md is JSON', () => {
  for (const heading of ['Cursor', 'VS Code', 'mcp-remote']) {
    for (const text of blocks('clients.md', heading, 'json')) JSON.parse(text);
  }
});

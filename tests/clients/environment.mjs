// The environment of all suites, started once: the upstream servers, the gateway, Chromium, the browser service.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import tls from 'node:tls';
import { launch, openBrowserService } from './browser.mjs';
import { ACCOUNT, BINARY, child, freePort, startGateway, until } from './gateway.mjs';

const here = (path) => new URL(path, import.meta.url).pathname;
const { PYTHON_SDK_V1, PYTHON_SDK_V2, PYTHON_FASTMCP, PYTHON_AUTHLIB } = process.env;
export const PYTHON = { v1: PYTHON_SDK_V1, v2: PYTHON_SDK_V2, fastmcp: PYTHON_FASTMCP, authlib: PYTHON_AUTHLIB };

/** The permissions of the upstream `office`: more than a phone's screen can show at once. */
export const OFFICE = [
  ['read', 'See customers', 'Names, addresses and orders.'],
  ['notes', 'Write notes', 'Add notes to a customer.'],
  ['calendar', 'See the calendar', 'Appointments of the whole office.'],
  ['invite', 'Send invitations', 'On your behalf, to anybody.'],
  ['files', 'Read files', 'Everything in the shared folder.'],
  ['upload', 'Upload files', 'Up to 100 MB a file.'],
  ['reports', 'Make reports', 'Of sales and visits.'],
  ['delete', 'Delete customers', 'With all their orders. This cannot be undone.', true],
  ['refund', 'Refund payments', 'Up to the amount that was paid.', true],
].map(([name, title, description, sensitive = false]) => ({ name: `office:${name}`, title, description, sensitive }));

// Access tokens have the shortest lifetime that the configuration allows, so that a test can wait until one expires.
const CONFIG = (upstreams, outbound, publisher) => `
[client_id_metadata_documents]
verified_publishers = ["${publisher}"]

[outbound]
allow_addresses = ["127.0.0.1"]
extra_ca_file = "${outbound}"

[tokens]
access = "1m"

[login]
product_name = "Lighthouse"
logo = "${join(site, 'logo.svg')}"
support_url = "https://help.example.com/"
privacy_url = "https://example.com/privacy"

[rates]
authorize_per_second = 1000
registrations_per_hour = 1000

${upstreams.map(({ name, url }) => `
[[upstream]]
name = "${name}"
path = "/mcp/${name}"
url = "${url}"
display_name = "The ${name} server"
default_scopes = ["${name}:use"]

[[upstream.scope]]
name = "${name}:use"
title = "Use its tools"
description = "Call every tool of this server on your behalf."
`).join('')}
[[upstream]]
name = "notes"
path = "/mcp/notes"
url = "${upstreams[0].url}"
display_name = "Notes"
default_scopes = ["notes:read"]

[[upstream.scope]]
name = "notes:read"
title = "Read notes"
allow = ["tools/list", "tools/call:list_notes", "tools/call:echo"]

[[upstream.scope]]
name = "notes:write"
title = "Add notes"
allow = ["tools/call:add_note"]

[[upstream.scope]]
name = "notes:delete"
title = "Delete notes"
sensitive = true
allow = ["tools/call:delete_note"]

[[upstream]]
name = "library"
path = "/mcp/library"
url = "${upstreams[0].url}"
display_name = "Library"
default_scopes = ["library:use"]
anonymous = ["tools/list", "tools/call:echo"]

[[upstream.scope]]
name = "library:use"
title = "Use the library"
allow = ["tools/list", "tools/call"]

[[upstream]]
name = "workshop"
path = "/mcp/workshop"
url = "${upstreams[2].url}"
display_name = "Workshop"
default_scopes = ["workshop:sums", "workshop:plans", "workshop:prompts"]

[[upstream.scope]]
name = "workshop:sums"
title = "Calculate"
allow = ["tools/list", "tools/call:echo", "tools/call:get-s*"]

[[upstream.scope]]
name = "workshop:plans"
title = "Read plans"
allow = ["resources/list", "resources/templates/list", "resources/read:demo://resource/static/document/st*"]

[[upstream.scope]]
name = "workshop:prompts"
title = "Use prompts"
allow = ["prompts/list", "prompts/get:simple-prompt"]

[[upstream.scope]]
name = "workshop:look"
title = "Look at everything"
allow = ["tools/call@readOnly", "prompts/get:args-prompt", "resources/read:demo://resource/dynamic/text/*"]

[[upstream]]
name = "toolbox"
path = "/mcp/toolbox"
url = "${upstreams[2].url}"
display_name = "Toolbox"
scopes = "execute"

[[upstream]]
name = "archive"
path = "/mcp/archive"
url = "${upstreams[0].url}"
display_name = "Archive"
allow_users = ["archivist"]

[[upstream]]
name = "office"
path = "/mcp/office"
url = "${upstreams[0].url}"
display_name = "Office"
default_scopes = ["office:read"]
${OFFICE.map(({ name, title, description, sensitive }) => `
[[upstream.scope]]
name = "${name}"
title = "${title}"
description = "${description}"
sensitive = ${sensitive}
`).join('')}`;

const started = [];
after(async () => {
  for (const stop of started.reverse()) await stop();
});

/** Starts a server on a free port and waits until it takes connections. */
async function serve(name, path, command, args, variables = {}) {
  const port = await freePort();
  const variable = { PORT: String(port), ...variables };
  const running = child(command, args.map((arg) => arg.replace('{port}', port)), { env: { ...process.env, ...variable } });
  started.push(() => running.stop());
  const url = `http://127.0.0.1:${port}${path}`;
  await until(`${name} does not start`, async () => {
    if (running.exitCode !== null) throw new Error(running.output);
    await (await fetch(url, { method: 'OPTIONS' })).arrayBuffer();
  }).catch((error) => {
    throw new Error(`${error.message}\n${running.output}`);
  });
  return { name, url };
}

export const upstreams = await Promise.all([
  serve('demo', '/mcp', BINARY, ['demo-upstream', '--listen', '127.0.0.1:{port}']),
  serve('everything', '/mcp', process.execPath, [here('servers/everything.mjs')]),
  serve('reference', '/mcp', process.execPath, [
    here('node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
    'streamableHttp',
  ]),
  serve('python', '/mcp', PYTHON.v2, [here('servers/python_server.py')]),
]);

// The application's own web site, as the gateway sees it: one Client ID Metadata Document over https. The operator of
// the gateway added the CA of its certificate and permitted its address.
const site = mkdtempSync(join(tmpdir(), 'mcpgate-site-'));
writeFileSync(join(site, 'logo.svg'), `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 28" width="90" height="28">
  <style>rect { fill: #d2691e }</style><rect width="90" height="28" rx="6"/><circle cx="14" cy="14" r="8" fill="#fff"/></svg>`);
await run(BINARY, ['certs', 'dev', '--dir', site], { env: process.env });
const pem = (name) => readFileSync(join(site, name), 'utf8');
const server = createServer({ cert: pem('server.pem'), key: pem('server-key.pem') }, (request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({
    client_id: documentUrl,
    client_name: 'A client with a document',
    redirect_uris: ['http://127.0.0.1/callback', 'https://app.example/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  }));
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
started.push(() => {
  server.closeAllConnections();
  server.close();
  rmSync(site, { recursive: true });
});
export const documentUrl = `https://127.0.0.1:${server.address().port}/client.json`;

export const gateway = await startGateway({ config: CONFIG(upstreams, join(site, 'ca.pem'), documentUrl) });
started.push(async () => {
  const status = await gateway.stop();
  if (status !== 0) throw new Error(`mcpgate ended with ${status}\n${gateway.process.output}`);
});
tls.setDefaultCACertificates([...tls.getCACertificates(), readFileSync(gateway.ca, 'utf8')]);

export const browser = await launch(gateway.ca);
started.push(() => browser.close());

export const browserService = await openBrowserService(browser, ACCOUNT, {
  '/revoke': ({ client_id }) => gateway.command('session', 'revoke', '--client', client_id),
});
started.push(() => browserService.close());

/** The public address of an upstream. */
export const resource = (name) => `${gateway.origin}/mcp/${name}`;

/** The environment for a foreign program that must trust the gateway's CA. */
export const trusting = { ...process.env, NODE_EXTRA_CA_CERTS: gateway.ca, SSL_CERT_FILE: gateway.ca };

/** Runs a program to its end, with `input` to read; returns its output, or throws an error that contains it. */
export async function run(command, args, { env = trusting, seconds = 180, cwd, input } = {}) {
  const stdio = [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'];
  const running = child(command, args, { env, cwd, stdio });
  running.stdin?.end(input);
  const timer = setTimeout(() => running.kill('SIGKILL'), seconds * 1000);
  const status = await running.ended;
  clearTimeout(timer);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ended with ${status}\n${running.output}`);
  return running.output;
}

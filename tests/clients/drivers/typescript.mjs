// One run of an official TypeScript SDK client (argument: v1 or v2) against MCP_URL.
// Prints one JSON line per step; sdk.test.mjs says which steps must appear.
import { loopbackCallback, openBrowser, revokeGrant, settings, step } from './driver.mjs';

const { url, full } = settings;
const generation = process.argv[2];

// A revocation also ends the session's own stream. The SDK would reopen it at once and start a second login beside the
// one for the call; an application with one user needs only one login.
const reconnectionOptions = {
  maxRetries: 0,
  initialReconnectionDelay: 1000,
  maxReconnectionDelay: 30000,
  reconnectionDelayGrowFactor: 1.5,
};

async function sdkV1() {
  const [{ Client }, { StreamableHTTPClientTransport }, { UnauthorizedError }, types] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    import('@modelcontextprotocol/sdk/client/auth.js'),
    import('@modelcontextprotocol/sdk/types.js'),
  ]);
  return {
    newClient: () => new Client({ name: 'driver', version: '1' }, { capabilities: { sampling: {}, elicitation: {} } }),
    newTransport: (authProvider) => new StreamableHTTPClientTransport(new URL(url), { authProvider, reconnectionOptions }),
    finish: (transport, answer) => transport.finishAuth(answer.get('code')),
    call: (client, request, options) => client.callTool(request, undefined, options),
    onSampling: (client, handler) => client.setRequestHandler(types.CreateMessageRequestSchema, handler),
    UnauthorizedError,
  };
}

async function sdkV2() {
  const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await import('@modelcontextprotocol/client');
  return {
    newClient: () =>
      new Client(
        { name: 'driver', version: '2' },
        { capabilities: { sampling: {}, elicitation: {} }, versionNegotiation: { mode: 'auto' } },
      ),
    newTransport: (authProvider) => new StreamableHTTPClientTransport(new URL(url), { authProvider, reconnectionOptions }),
    finish: (transport, answer) => transport.finishAuth(answer),
    call: (client, request, options) => client.callTool(request, options),
    onSampling: (client, handler) => client.setRequestHandler('sampling/createMessage', handler),
    UnauthorizedError,
  };
}

/** What an application must provide: a callback address, storage, and a way to open a browser. */
class Memory {
  constructor(callback) {
    this.callback = callback;
    this.openings = 0;
  }
  /** Undefined unless the test uses a Client ID Metadata Document instead of a registration. */
  get clientMetadataUrl() {
    return settings.documentUrl;
  }
  get redirectUrl() {
    return this.callback.url;
  }
  get clientMetadata() {
    return {
      client_name: `TypeScript SDK ${generation}`,
      redirect_uris: [this.callback.url],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }
  state() {
    this.expected = crypto.randomUUID();
    return this.expected;
  }
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
    step('registered', { client_id: client.client_id });
  }
  tokens() {
    return this.held;
  }
  saveTokens(tokens) {
    this.held = tokens;
    step('tokens', { scope: tokens.scope, expires_in: tokens.expires_in, refresh: Boolean(tokens.refresh_token) });
  }
  async redirectToAuthorization(target) {
    this.openings += 1;
    step('browser', { resource: target.searchParams.get('resource') });
    await openBrowser(target.href);
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  saveDiscoveryState(state) {
    this.discovery = state;
  }
  discoveryState() {
    return this.discovery;
  }
  invalidateCredentials(what) {
    if (what === 'all' || what === 'tokens') this.held = undefined;
    if (what === 'all' || what === 'client') this.client = undefined;
    if (what === 'all' || what === 'discovery') this.discovery = undefined;
  }
  async answer() {
    const parameters = await this.callback.next();
    if (parameters.get('state') !== this.expected) throw new Error('the callback carries another state');
    return parameters;
  }
}

const sdk = generation === 'v1' ? await sdkV1() : await sdkV2();
const callback = await loopbackCallback();
const memory = new Memory(callback);

async function connect() {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const transport = sdk.newTransport(memory);
    const client = sdk.newClient();
    sdk.onSampling(client, () => ({ role: 'assistant', model: 'none', content: { type: 'text', text: 'sampled' } }));
    try {
      await client.connect(transport);
      return { client, transport };
    } catch (error) {
      if (!(error instanceof sdk.UnauthorizedError)) throw error;
      await sdk.finish(transport, await memory.answer());
    }
  }
  throw new Error('still unauthorized after a login');
}

const text = (result) => result.content.find((part) => part.type === 'text')?.text ?? '';

let { client, transport } = await connect();
const { tools } = await client.listTools();
step('connected', { server: client.getServerVersion()?.name, tools: tools.map((tool) => tool.name).sort() });

/** Calls a tool, and signs in if the SDK asks for it: again in the same session. */
async function callSigningIn(request) {
  try {
    return text(await sdk.call(client, request));
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    await sdk.finish(transport, await memory.answer());
    return text(await sdk.call(client, request));
  }
}

if (settings.untickedCall) {
  try {
    step('answered', { text: await callSigningIn(settings.untickedCall) });
  } catch (error) {
    step('refused', { message: error.message, openings: memory.openings, scope: memory.held.scope });
  }
  await client.close();
  callback.close();
  process.exit(0);
}

/** Calls a tool for which the token lacks a scope, until the user has allowed it. */
async function callSteppingUp(request) {
  try {
    return await callSigningIn(request);
  } catch (error) {
    // The first generation refreshes its token instead of asking for the scope; an application can only forget it.
    step('gave up', { message: error.message, openings: memory.openings });
    delete memory.held.refresh_token;
    ({ client, transport } = await connect());
    return callSigningIn(request);
  }
}

/** The names of everything that the server lists. */
async function listed() {
  const names = (entries, name = 'name') => entries.map((entry) => entry[name]).sort();
  return {
    tools: names((await client.listTools()).tools),
    prompts: names((await client.listPrompts()).prompts),
    resources: names((await client.listResources()).resources, 'uri'),
    templates: names((await client.listResourceTemplates()).resourceTemplates, 'uriTemplate'),
  };
}

if (settings.stepUp) {
  const answer = await callSteppingUp(settings.stepUp);
  const names = (await client.listTools()).tools.map((tool) => tool.name).sort();
  step('stepped up', { text: answer, scope: memory.held.scope, openings: memory.openings, tools: names });
  await client.close();
  callback.close();
  process.exit(0);
}

if (settings.map) {
  const { open, asked, closed } = settings.map;
  step('before', { lists: await listed() });
  step('open', { text: text(await sdk.call(client, open)) });
  step('asked', { text: await callSteppingUp(asked), scope: memory.held.scope, openings: memory.openings });
  step('after', { lists: await listed() });
  step('still open', { text: text(await sdk.call(client, open)) });
  try {
    step('closed', { text: text(await sdk.call(client, closed)), openings: memory.openings });
  } catch (error) {
    step('closed', { error: error.message, openings: memory.openings });
  }
  await client.close();
  callback.close();
  process.exit(0);
}

if (!full) {
  const called = await sdk.call(client, { name: settings.tool, arguments: settings.arguments });
  step('called', { text: text(called) });
  if (settings.progressTool) {
    const seen = [];
    const slow = await sdk.call(client, settings.progressTool, { onprogress: () => seen.push(Date.now()) });
    step('progress', { events: seen.length, spread: seen.at(-1) - seen[0], text: text(slow) });
  }
  if (settings.samplingTool) {
    step('sampled', { text: text(await sdk.call(client, settings.samplingTool)) });
  }
  await client.close();
  callback.close();
  process.exit(0);
}

step('echo', { text: text(await sdk.call(client, { name: 'echo', arguments: { text: 'Grüße ✓' } })) });
step('add', { text: text(await sdk.call(client, { name: 'add', arguments: { a: 19, b: 23 } })) });
step('whoami', { text: text(await sdk.call(client, { name: 'whoami', arguments: {} })) });
const { resources } = await client.listResources();
await client.readResource({ uri: resources[0].uri });
const { prompts } = await client.listPrompts();
step('catalogue', { resources: resources.length, prompts: prompts.length });

const seen = [];
const counted = await sdk.call(
  client,
  { name: 'count', arguments: { to: 5 } },
  { onprogress: ({ progress }) => seen.push({ progress, at: Date.now() }) },
);
step('progress', { events: seen.length, spread: seen.at(-1).at - seen[0].at, text: text(counted) });

const before = memory.held.access_token;
await new Promise((resolve) => setTimeout(resolve, (memory.held.expires_in + 1) * 1000));
await sdk.call(client, { name: 'echo', arguments: { text: 'after expiry' } });
step('refreshed', { changed: memory.held.access_token !== before, openings: memory.openings });

for (const how of ['RFC 7009', 'operator']) {
  // Counted first: the client may reopen a stream that the revocation ended, and ask the user, before the next call.
  const opened = memory.openings;
  await revokeGrant(how, memory.client, memory.held.refresh_token);
  const again = async () => text(await sdk.call(client, { name: 'echo', arguments: { text: how } }));
  let answer;
  try {
    answer = await again();
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    await sdk.finish(transport, await memory.answer());
    ({ client, transport } = await connect());
    answer = await again();
  }
  step('revoked', { how, reopened: memory.openings - opened, text: answer });
}
await client.close();
callback.close();
process.exit(0);

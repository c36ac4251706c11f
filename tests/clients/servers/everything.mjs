// An MCP server on the official TypeScript SDK v2 with everything that the conformance suite requires of a reference
// server: the stateless revision 2026-07-28 and, for older clients, sessions with resumable streams. It listens on
// PORT.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import { localhostHostValidation, localhostOriginValidation } from '@modelcontextprotocol/node';
import {
  acceptedContent,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
  isLegacyRequest,
  McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=';

const text = (value) => ({ type: 'text', text: value });
const say = (value) => ({ content: [text(value)] });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const object = (properties = {}, required = Object.keys(properties)) => ({ type: 'object', properties, required });
const string = { type: 'string' };

const states = createRequestStateCodec({ key: randomUUID() + randomUUID() });
const askName = (message) => inputRequired.elicit({ message, requestedSchema: object({ name: string }) });
const askSampling = (question, maxTokens) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: text(question) }], maxTokens });

function contentTools(tool) {
  tool('test_simple_text', () => say('This is a simple text response for testing.'));
  tool('test_image_content', () => ({ content: [image] }));
  tool('test_audio_content', () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }));
  const embedded = { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'This is an embedded resource content.' };
  tool('test_embedded_resource', () => ({ content: [{ type: 'resource', resource: embedded }] }));
  const mixed = { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"test":"data","value":123}' };
  tool('test_multiple_content_types', () => ({
    content: [text('Multiple content types test:'), image, { type: 'resource', resource: mixed }],
  }));
  tool('test_error_handling', () => {
    throw new Error('This tool intentionally returns an error for testing');
  });
}

function streamingTools(tool) {
  tool('test_tool_with_progress', async (_, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      const params = { progressToken, progress, total: 100 };
      if (progressToken !== undefined) await mcpReq.notify({ method: 'notifications/progress', params });
      await pause(50);
    }
    return say(String(progressToken));
  });
  tool('test_tool_with_logging', async (_, { mcpReq }) => {
    for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.log('info', line);
      await pause(50);
    }
    return say('logged');
  });
  tool('test_reconnection', async (_, { http }) => {
    http?.closeSSE?.();
    await pause(100);
    return say('Reconnection test completed.');
  });
}

// Requests to the client during a call go on the call's own stream. By default the SDK uses the session's GET stream,
// which another request opens and which may not exist yet.
const onItsStream = ({ id }) => ({ relatedRequestId: id });

function callbackTools(tool) {
  tool('test_sampling', object({ prompt: string }), async ({ prompt }, { mcpReq }) => {
    const question = { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 };
    const answer = await mcpReq.requestSampling(question, onItsStream(mcpReq));
    return say(`LLM response: ${answer.content.text}`);
  });
  const elicit = async (mcpReq, message, requestedSchema, label) => {
    const { action, content } = await mcpReq.elicitInput({ message, requestedSchema }, onItsStream(mcpReq));
    return say(`${label}: action=${action}, content=${JSON.stringify(content)}`);
  };
  tool('test_elicitation', object({ message: string }), ({ message }, { mcpReq }) => {
    const asked = { username: { type: 'string', description: "User's response" }, email: { type: 'string', description: "User's email address" } };
    return elicit(mcpReq, message, object(asked), 'User response');
  });
  tool('test_elicitation_sep1034_defaults', (_, { mcpReq }) => {
    const asked = {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    };
    return elicit(mcpReq, 'Defaults', object(asked, []), 'Elicitation completed');
  });
  tool('test_elicitation_sep1330_enums', (_, { mcpReq }) => {
    const plain = ['option1', 'option2', 'option3'];
    const titled = (kind) => ['First', 'Second', 'Third'].map((n, i) => ({ const: `value${i + 1}`, title: `${n} ${kind}` }));
    const asked = {
      untitledSingle: { type: 'string', enum: plain },
      titledSingle: { type: 'string', oneOf: titled('Option') },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
      untitledMulti: { type: 'array', items: { type: 'string', enum: plain } },
      titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
    };
    return elicit(mcpReq, 'Choices', object(asked, []), 'Elicitation completed');
  });
}

function roundTripTools(tool) {
  tool('test_input_required_result_elicitation', (_, { mcpReq }) => {
    const given = acceptedContent(mcpReq.inputResponses, 'user_name');
    if (typeof given?.name === 'string') return say(`Hello, ${given.name}!`);
    return inputRequired({ inputRequests: { user_name: askName('What is your name?') } });
  });
  tool('test_input_required_result_sampling', (_, { mcpReq }) => {
    const answer = mcpReq.inputResponses?.capital_question;
    if (answer) return say(answer.content.text);
    return inputRequired({ inputRequests: { capital_question: askSampling('What is the capital of France?', 100) } });
  });
  tool('test_input_required_result_list_roots', (_, { mcpReq }) => {
    const answer = mcpReq.inputResponses?.client_roots;
    if (answer) return say(answer.roots.map((root) => root.uri).join(' '));
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  });
  const confirm = inputRequired.elicit({ message: 'Please confirm', requestedSchema: object({ ok: { type: 'boolean' } }) });
  for (const name of ['test_input_required_result_request_state', 'test_input_required_result_tampered_state']) {
    tool(name, async (_, { mcpReq }) => {
      if (mcpReq.requestState()?.round === 1 && mcpReq.inputResponses?.confirm) return say('state-ok');
      return inputRequired({ inputRequests: { confirm }, requestState: await states.mint({ round: 1 }) });
    });
  }
  tool('test_input_required_result_multiple_inputs', async (_, { mcpReq }) => {
    const { user_name, greeting, client_roots } = mcpReq.inputResponses ?? {};
    if (user_name && greeting && client_roots && mcpReq.requestState()) return say('all three arrived');
    const inputRequests = {
      user_name: askName('What is your name?'),
      greeting: askSampling('Generate a greeting', 50),
      client_roots: inputRequired.listRoots(),
    };
    return inputRequired({ inputRequests, requestState: await states.mint({ round: 1 }) });
  });
  tool('test_input_required_result_multi_round', async (_, { mcpReq }) => {
    const { step1, step2 } = mcpReq.inputResponses ?? {};
    const round = mcpReq.requestState()?.round;
    if (round === 2 && step2) return say('both rounds done');
    if (round === 1 && step1) {
      const requestedSchema = object({ color: string });
      const next = inputRequired.elicit({ message: 'Step 2: What is your favorite color?', requestedSchema });
      return inputRequired({ inputRequests: { step2: next }, requestState: await states.mint({ round: 2 }) });
    }
    const first = askName('Step 1: What is your name?');
    return inputRequired({ inputRequests: { step1: first }, requestState: await states.mint({ round: 1 }) });
  });
}

function revisionTools(tool, notify) {
  tool('test_missing_capability', () => inputRequired({ inputRequests: { question: askSampling('Anything?', 10) } }));
  tool('test_streaming_elicitation', () => inputRequired({ inputRequests: { user_name: askName('Who?') } }));
  tool('test_input_required_result_capabilities', (_, { mcpReq }) => {
    const declared = mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};
    const inputRequests = {
      ...(declared.sampling && { question: askSampling('Anything?', 10) }),
      ...(declared.elicitation && { user_name: askName('Who?') }),
    };
    return inputRequired({ inputRequests });
  });
  tool('test_logging_tool', async (_, { mcpReq }) => {
    await mcpReq.log('info', 'only for those who asked for it');
    return say('logged');
  });
  tool('test_trigger_tool_change', () => (notify.toolsChanged(), say('changed')));
  tool('test_trigger_prompt_change', () => (notify.promptsChanged(), say('changed')));
  const mirrored = { region: { type: 'string', 'x-mcp-header': 'Region' }, query: string };
  tool('test_custom_headers', object(mirrored, ['region']), ({ region }) => say(region));
  tool('json_schema_2020_12_tool', contactSchema, () => say('valid'));
}

// Every family of keywords that a gateway could lose by re-serialising bodies.
const contactSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: string, city: string } } },
  properties: {
    name: string,
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: string,
    email: string,
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

function resources(server) {
  const contents = (uri, mimeType, body) => ({ contents: [{ uri: String(uri), mimeType, ...body }] });
  server.registerResource('static-text', 'test://static-text', { description: 'Text', mimeType: 'text/plain' }, (uri) =>
    contents(uri, 'text/plain', { text: 'This is the content of the static text resource.' }));
  server.registerResource('static-binary', 'test://static-binary', { description: 'A pixel', mimeType: 'image/png' }, (uri) =>
    contents(uri, 'image/png', { blob: PNG }));
  server.registerResource('watched-resource', 'test://watched-resource', { description: 'Watched' }, (uri) =>
    contents(uri, 'text/plain', { text: 'watched' }));
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  server.registerResource('template', template, { description: 'By number' }, (uri, { id }) =>
    contents(uri, 'application/json', { text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }));
}

function prompts(server) {
  const user = (content) => ({ role: 'user', content });
  server.registerPrompt('test_simple_prompt', { description: 'Simple' }, () => ({
    messages: [user(text('This is a simple prompt for testing.'))],
  }));
  const two = fromJsonSchema(object({ arg1: string, arg2: string }));
  server.registerPrompt('test_prompt_with_arguments', { description: 'Two arguments', argsSchema: two }, ({ arg1, arg2 }) => ({
    messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  }));
  const one = fromJsonSchema(object({ resourceUri: string }));
  server.registerPrompt('test_prompt_with_embedded_resource', { description: 'Resource', argsSchema: one }, ({ resourceUri }) => {
    const resource = { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' };
    return { messages: [user({ type: 'resource', resource }), user(text('Please process the embedded resource above.'))] };
  });
  server.registerPrompt('test_prompt_with_image', { description: 'Image' }, () => ({
    messages: [user(image), user(text('Please analyze the image above.'))],
  }));
  server.registerPrompt('test_input_required_result_prompt', { description: 'Asks first' }, (_, context) => {
    const given = acceptedContent((context ?? _).mcpReq.inputResponses, 'user_context');
    if (given) return { messages: [user(text(`Context: ${given.context}`))] };
    const requestedSchema = object({ context: string });
    const asked = inputRequired.elicit({ message: 'What context should the prompt use?', requestedSchema });
    return inputRequired({ inputRequests: { user_context: asked } });
  });
}

function newServer() {
  const capabilities = { logging: {}, completions: {}, resources: { subscribe: true, listChanged: true }, tools: { listChanged: true }, prompts: { listChanged: true } };
  const options = { capabilities, requestState: { verify: states.verify } };
  const server = new McpServer({ name: 'everything', version: '1.0.0' }, options);
  const tool = (name, ...rest) => {
    const answer = rest.pop();
    const inputSchema = fromJsonSchema(rest[0] ?? object());
    server.registerTool(name, { description: name.replaceAll('_', ' '), inputSchema }, answer);
  };
  contentTools(tool);
  streamingTools(tool);
  callbackTools(tool);
  roundTripTools(tool);
  revisionTools(tool, {
    toolsChanged: () => handler.notify.toolsChanged(),
    promptsChanged: () => handler.notify.promptsChanged(),
  });
  resources(server);
  prompts(server);
  server.server.setRequestHandler('completion/complete', () => ({ completion: { values: ['paris', 'park'], total: 2, hasMore: false } }));
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  return server;
}

/** Stores the events of a stream so that a client can resume it with Last-Event-ID. */
class Events {
  #kept = [];
  async storeEvent(stream, message) {
    this.#kept.push({ stream, message });
    return `${stream}_${this.#kept.length - 1}`;
  }
  async getStreamIdForEventId(id) {
    return this.#kept[Number(id.slice(id.lastIndexOf('_') + 1))]?.stream;
  }
  async replayEventsAfter(id, { send }) {
    const at = Number(id.slice(id.lastIndexOf('_') + 1));
    const { stream } = this.#kept[at];
    for (let i = at + 1; i < this.#kept.length; i += 1) {
      if (this.#kept[i].stream === stream) await send(`${stream}_${i}`, this.#kept[i].message);
    }
    return stream;
  }
}

const handler = createMcpHandler(newServer, { legacy: 'reject' });
const modern = toNodeHandler(handler);
const sessions = new Map();

async function legacy(request, response, body) {
  const known = sessions.get(request.headers['mcp-session-id']);
  if (known) return known.handleRequest(request, response, body);
  if (request.headers['mcp-session-id']) return response.writeHead(404).end();
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Events(),
    retryInterval: 200,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await newServer().connect(transport);
  return transport.handleRequest(request, response, body);
}

const hostAllowed = localhostHostValidation();
const originAllowed = localhostOriginValidation();

createServer(async (request, response) => {
  if (!hostAllowed(request, response) || !originAllowed(request, response)) return;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let body;
  try {
    body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined;
  } catch {
    const error = { code: -32700, message: 'Parse error' };
    response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
    return;
  }
  if (await isLegacyRequest(await toWebRequest(request, body), body)) await legacy(request, response, body);
  else await modern(request, response, body);
}).listen(Number(process.env.PORT), '127.0.0.1');

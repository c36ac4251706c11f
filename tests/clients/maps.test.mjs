// The reference server of the protocol's authors behind a map that opens a part of it: each client sees only what its
// token may use, asks its user once for what a call needs, and goes on.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { drive, inspector, SDKS, throughMcpRemote } from './clients.mjs';
import { blocks } from './documents.mjs';
import { gateway } from './environment.mjs';

const document = (name) => `demo://resource/static/document/${name}.md`;

// What the scopes of the upstream `workshop` open (environment.mjs): those that everybody has, and `workshop:look`.
const BEFORE = {
  tools: ['echo', 'get-structured-content', 'get-sum'],
  prompts: ['simple-prompt'],
  resources: [document('startup'), document('structure')],
  templates: [],
};
const READ_ONLY = [
  'echo',
  'get-annotated-message',
  'get-env',
  'get-resource-links',
  'get-resource-reference',
  'get-structured-content',
  'get-sum',
  'get-tiny-image',
  'trigger-long-running-operation',
];
const AFTER = {
  tools: READ_ONLY,
  prompts: ['args-prompt', 'simple-prompt'],
  resources: BEFORE.resources,
  templates: ['demo://resource/dynamic/text/{resourceId}'],
};
// The server has this tool for clients that have roots.
const WITH_ROOTS = [...READ_ONLY, 'get-roots-list'].sort();

const OPEN = { name: 'get-sum', arguments: { a: 19, b: 23 } };
const ASKED = { name: 'get-annotated-message', arguments: { messageType: 'success', includeImage: false } };
// No scope opens it.
const CLOSED = { name: 'toggle-simulated-logging', arguments: {} };
const HELD = ['workshop:look', 'workshop:plans', 'workshop:prompts', 'workshop:sums'];

describe('SDK clients before a server of which the map opens a part', { concurrency: 2 }, () => {
  for (const client of SDKS) {
    test(client[0], async () => {
      const map = { open: OPEN, asked: ASKED, closed: CLOSED };
      const { steps, one } = await drive(client, 'workshop', { full: false, map });
      assert.deepEqual(one('before').lists, BEFORE);
      assert.match(one('open').text, /is 42/);
      const asked = one('asked');
      assert.equal(asked.text, 'Operation completed successfully');
      assert.deepEqual(asked.scope.split(' ').sort(), HELD);
      assert.equal(asked.openings, 2, 'one login, and one more for the scope');
      assert.deepEqual(one('after').lists, AFTER);
      assert.match(one('still open').text, /is 42/);
      assert.match(one('closed').error, /no scope of this server allows this/);
      assert.equal(one('closed').openings, 2, 'nobody is asked for what no scope opens');
      assert.equal(steps.filter((seen) => seen.step === 'gave up').length, client[0] === 'TypeScript SDK v1' ? 1 : 0);
    });
  }
});

test('mcp-remote before a server of which the map opens a part', async () => {
  await throughMcpRemote('workshop', async (client, said) => {
    const names = (entries) => entries.map(({ name }) => name).sort();
    const call = async (request) => (await client.callTool(request)).content[0].text;
    assert.deepEqual(names((await client.listTools()).tools), BEFORE.tools);
    assert.deepEqual(names((await client.listPrompts()).prompts), BEFORE.prompts);
    assert.match(await call(OPEN), /is 42/);
    const { contents } = await client.readResource({ uri: document('startup') });
    assert.equal(contents[0].uri, document('startup'));
    await assert.rejects(client.readResource({ uri: document('features') }), /no scope of this server allows this/);
    assert.equal(await call(ASKED), 'Operation completed successfully');
    assert.deepEqual(names((await client.listTools()).tools), AFTER.tools);
    assert.deepEqual(names((await client.listPrompts()).prompts), AFTER.prompts);
    const { messages } = await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Oslo' } });
    assert.match(messages[0].content.text, /weather in Oslo/);
    assert.match(await call(OPEN), /is 42/);
    await assert.rejects(call(CLOSED), /no scope of this server allows this/);
    assert.equal(said().match(/Please authorize this client by visiting/g).length, 2, said());
  });
});

describe('Inspector before a server of which the map opens a part', () => {
  const list = ['--method', 'tools/list'];
  const prompt = ['--method', 'prompts/get', '--prompt-name', 'args-prompt', '--prompt-args', 'city=Oslo'];
  const call = ({ name, arguments: args }) => ['--method', 'tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args)];
  const names = (output) => {
    const line = output.split('\n').find((line) => line.startsWith('{"result"'));
    return JSON.parse(line).result.tools.map(({ name }) => name).sort();
  };

  test('with a client that it was given', async () => {
    const program = await inspector('workshop');
    const [added] = blocks('clients.md', 'MCP Inspector', 'sh')[2].split('\n');
    assert.match(added, /^mcpgate client add /);
    const { client_id: id } = await gateway.command(...added.split(' ').slice(1));
    let openings = 0;
    const inspect = async (words, input) => {
      const output = await program([...words, '--client-id', id], { input });
      openings += output.match(/Please navigate to/g)?.length ?? 0;
      return output;
    };
    assert.deepEqual(names(await inspect(list)), BEFORE.tools);
    assert.match(await inspect(call(OPEN)), /is 42/);
    // It looks a tool up in the list before it calls it, so it is told which scope it lacks for the others alone.
    await assert.rejects(inspect(call(ASKED)), /Tool 'get-annotated-message' not found on server/);
    await assert.rejects(inspect(prompt, 'n\n'), /needs additional scope: workshop:look[^]*Step-up authorization declined/);
    assert.match(await inspect(prompt, 'y\n'), /needs additional scope: workshop:look[^]*weather in Oslo/);
    assert.deepEqual(names(await inspect(list)), WITH_ROOTS);
    assert.match(await inspect(call(ASKED)), /Operation completed successfully/);
    await assert.rejects(inspect(call(CLOSED)), /Tool 'toggle-simulated-logging' not found on server/);
    assert.equal(openings, 2, 'one login, and one more for the scope');
  });

  test('with a client that it registered', async () => {
    const inspect = await inspector('workshop');
    assert.deepEqual(names(await inspect(list)), BEFORE.tools);
    await assert.rejects(inspect(call(ASKED)), /Tool 'get-annotated-message' not found on server/);
    // It refreshes its token, which has the same scopes, and does not expect that.
    await assert.rejects(inspect(prompt, 'y\n'), /auth\(\) returned AUTHORIZED without authorization code/);
    assert.deepEqual(names(await inspect(list)), BEFORE.tools);
  });
});

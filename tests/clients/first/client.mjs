// A new user's first program: the TypeScript SDK calls one tool of the server at the URL in the argument, and prints
// where the user has to sign in.
import { createServer } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const url = new URL(process.argv[2]);
const held = {};
let arrive;
const arrived = new Promise((resolve) => (arrive = resolve));
const callback = createServer((request, response) => {
  response.end('You may close this window.');
  const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
  if (pathname === '/callback') arrive(searchParams.get('code'));
});
await new Promise((resolve) => callback.listen(0, '127.0.0.1', resolve));

const authProvider = {
  redirectUrl: `http://127.0.0.1:${callback.address().port}/callback`,
  get clientMetadata() {
    return { client_name: 'My first script', redirect_uris: [this.redirectUrl], token_endpoint_auth_method: 'none' };
  },
  clientInformation: () => held.client,
  saveClientInformation: (client) => (held.client = client),
  tokens: () => held.tokens,
  saveTokens: (tokens) => (held.tokens = tokens),
  codeVerifier: () => held.verifier,
  saveCodeVerifier: (verifier) => (held.verifier = verifier),
  redirectToAuthorization: (address) => console.log(`sign in at ${address}`),
};

const connect = async () => {
  const client = new Client({ name: 'first', version: '1' });
  const transport = new StreamableHTTPClientTransport(url, { authProvider });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(await arrived);
    return undefined;
  }
};

const client = (await connect()) ?? (await connect());
const result = await client.callTool({ name: 'echo', arguments: { text: 'hello' } });
console.log(`the tool answered ${result.content[0].text}`);
await client.close();
callback.closeAllConnections();
callback.close();

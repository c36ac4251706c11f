// A program that acts for itself with version 1 of the TypeScript SDK.
import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const { CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, ISSUER: expectedIssuer, MCP_URL } = process.env;
const authProvider = new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer });
const client = new Client({ name: 'my-service', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(new URL(MCP_URL), { authProvider }));
console.log(JSON.stringify(await client.callTool({ name: 'echo', arguments: { text: 'hello' } })));
await client.close();

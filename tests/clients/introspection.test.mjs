// A server in JavaScript that gets tokens by another way than through the gateway: it finds the endpoints, logs in by
// itself, asks about tokens and revokes them with oauth4webapi.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { gateway, resource } from './environment.mjs';

const add = (...words) => gateway.command('client', 'add', '--upstream', 'demo', ...words);

test('oauth4webapi asks about a token, and is told when it has ended', async () => {
  const issuer = new URL(gateway.origin);
  const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' });
  const server = await oauth.processDiscoveryResponse(issuer, found);

  const service = await add('--name', 'Nightly job', '--confidential', '--grant', 'client_credentials', '--scope', 'demo:use');
  const [client, secret] = [{ client_id: service.client_id }, service.client_secret];
  const own = oauth.ClientSecretBasic(secret);
  const granted = await oauth.clientCredentialsGrantRequest(server, client, own, { resource: resource('demo') });
  const { access_token: token } = await oauth.processClientCredentialsResponse(server, client, granted);

  const added = await add('--name', 'Demo API', '--resource-server');
  const asker = { client_id: added.client_id };
  const ask = async (authentication) =>
    oauth.processIntrospectionResponse(server, asker, await oauth.introspectionRequest(server, asker, authentication, token));
  for (const method of [oauth.ClientSecretBasic, oauth.ClientSecretPost]) {
    const told = await ask(method(added.client_secret));
    assert.equal(told.active, true);
    assert.deepEqual(
      [told.iss, told.aud, told.client_id, told.sub, told.scope, told.token_type],
      [gateway.origin, resource('demo'), client.client_id, client.client_id, 'demo:use', 'Bearer'],
    );
    assert.ok(told.exp > told.iat && told.iat <= Date.now() / 1000);
  }
  await assert.rejects(ask(oauth.ClientSecretBasic('wrong')), { name: 'WWWAuthenticateChallengeError', status: 401 });

  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, own, token));
  assert.deepEqual(await ask(oauth.ClientSecretBasic(added.client_secret)), { active: false });
});

// The example with a Clerk instance in another process, and without a secret key.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { startExample } from './support/example.js';
import { SDKS, Session, onlyText } from './support/sdks.js';
import { User, claims } from './support/user.js';

describe('a server without a secret key', () => {
  let clerk;
  let server;
  let client;

  before(async () => {
    clerk = await startExample();
    server = await startExample({ CLERK_FAPI: clerk.clerk, CLERK_API_URL: clerk.clerk });
    client = new Session(SDKS[0], new User());
    await client.signIn(server.endpoint);
  });

  after(async () => {
    await client?.close();
    await server?.stop();
    await clerk?.stop();
  });

  it('verifies JWTs of the instance', async () => {
    const token = claims(client.user.tokens().access_token);
    assert.equal(token.iss, clerk.clerk);
    assert.equal(token.aud, server.endpoint);
    assert.equal((await client.call('whoami')).userId, token.sub);
  });

  it('rejects a token for another server of the same instance', async () => {
    const response = await post(clerk.endpoint, client.user.tokens().access_token);
    assert.equal(response.status, 401);
    assert.match(response.headers.get('www-authenticate'), /^Bearer error="invalid_token", /);
  });

  it('names the missing setting when user data is requested', async () => {
    const result = await client.client.callTool({ name: 'get_clerk_user_data', arguments: {} });
    assert.equal(result.isError, true);
    assert.match(onlyText(result), /CLERK_SECRET_KEY/);
  });

  it('responds to an opaque token with 500, not with 401', async () => {
    const response = await post(server.endpoint, 'oat_whatever');
    assert.equal(response.status, 500);
    assert.equal(response.headers.get('www-authenticate'), null);
    assert.deepEqual(Object.keys(await response.json()).sort(), ['error', 'error_description']);
  });
});

function post(url, token) {
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  return fetch(url, { method: 'POST', headers, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' });
}

// The official TypeScript clients, from the first rejection to the user's data.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';

import { startExample, startServer } from './support/example.js';
import { withoutResourceMetadata } from './support/recorder.js';
import { SDKS, Session } from './support/sdks.js';
import { REDIRECT_URI, User, claims } from './support/user.js';

const SCOPES = ['profile', 'email'];
const OFFLINE = 'profile email offline_access';
const MORE_THAN_A_DAY_S = 25 * 60 * 60; // Clerk's tokens live for a day.

let server;
let lenient;

before(async () => {
  server = await startServer();
  lenient = await startExample({ MCP_AUDIENCE: 'if-present' });
});

after(async () => {
  await server?.stop();
  await lenient?.stop();
});

for (const sdk of SDKS) {
  describe(sdk.name, () => {
    const sessions = [];
    const session = (user, options) => {
      const session = new Session(sdk, user, options);
      sessions.push(session);
      return session;
    };
    after(() => Promise.all(sessions.map((session) => session.close())));

    it('is rejected, registers, signs in and reads the user\'s data', async () => {
      const user = new User();
      const client = session(user);
      await client.authorize(server.endpoint);

      const [rejected] = client.recorder.of('POST', server.endpoint);
      const metadataUrl = `${server.origin}/.well-known/oauth-protected-resource/mcp`;
      assert.equal(rejected.status, 401);
      assert.equal(rejected.headers.get('authorization'), null);
      assert.equal(rejected.challenge, `Bearer resource_metadata="${metadataUrl}", scope="profile email"`);
      assert.deepEqual(client.recorder.of('GET', metadataUrl).map(({ status }) => status), [200]);
      assert.deepEqual(client.recorder.statuses(`${server.clerk}/oauth/register`), [201]);

      assert.equal(user.authorizations.length, 1);
      const requested = Object.fromEntries(user.authorizations[0].searchParams);
      const [redeemed] = client.recorder.of('POST', `${server.clerk}/oauth/token`);
      const form = Object.fromEntries(new URLSearchParams(redeemed.body));
      assert.equal(requested.client_id, user.clientInformation().client_id);
      assert.equal(requested.scope, sdk.scope);
      assert.equal(requested.resource, server.endpoint);
      assert.equal(requested.code_challenge_method, 'S256');
      assert.equal(requested.code_challenge, createHash('sha256').update(form.code_verifier).digest('base64url'));
      assert.equal(user.callback.get('iss'), server.clerk);
      assert.equal(form.grant_type, 'authorization_code');
      assert.equal(form.resource, server.endpoint);
      assert.equal(redeemed.status, 200);

      const token = claims(user.tokens().access_token);
      assert.equal(token.iss, server.clerk);
      assert.equal(token.aud, server.endpoint);
      assert.equal(token.scope, sdk.scope);
      assert.equal(token.client_id, requested.client_id);

      await client.connect(server.endpoint);
      assert.notEqual(client.client.getServerCapabilities().tools, undefined);
      const { tools } = await client.client.listTools();
      assert.deepEqual(tools.map(({ name }) => name).sort(), ['get_clerk_user_data', 'get_public_metadata', 'whoami']);
      assert.deepEqual(await client.call('whoami'), {
        userId: token.sub,
        clientId: token.client_id,
        tokenType: 'oauth_token',
        scopes: sdk.scope.split(' '),
      });
      assert.deepEqual(await client.call('get_clerk_user_data'), {
        id: token.sub,
        username: 'ada',
        firstName: 'Ada',
        lastName: 'Lovelace',
        imageUrl: 'https://img.clerk.com/preview.png',
        primaryEmailAddress: 'ada@example.com',
      });
      const versions = client.recorder.of('POST', server.endpoint).map(({ headers }) => headers.get('mcp-protocol-version'));
      assert.equal(versions.at(-1), sdk.protocol);
      assert.equal(client.recorder.statuses(server.endpoint).filter((status) => status >= 400).length, 1);
    });

    it('refreshes an expired token', async () => {
      // The 1.x client does not ask for `offline_access` by itself.
      const user = await signedInWith(sdk, OFFLINE);
      const client = session(user);
      const good = user.tokens();
      await server.advance(MORE_THAN_A_DAY_S);

      await client.connect(server.endpoint);
      assert.equal((await client.call('whoami')).userId, claims(good.access_token).sub);

      const calls = client.recorder.of('POST', server.endpoint);
      assert.equal(calls[0].status, 401);
      assert.match(calls[0].challenge, /^Bearer error="invalid_token", error_description="[^"]+", resource_metadata="/);
      assert.equal(calls.filter(({ status }) => status >= 400).length, 1);
      const [refreshed, ...more] = client.recorder.of('POST', `${server.clerk}/oauth/token`);
      const form = Object.fromEntries(new URLSearchParams(refreshed.body));
      assert.deepEqual(more, []);
      assert.equal(form.grant_type, 'refresh_token');
      assert.equal(form.refresh_token, good.refresh_token);
      assert.equal(form.resource, server.endpoint);
      assert.equal(claims(user.tokens().access_token).aud, server.endpoint);
      assert.deepEqual(user.authorizations, []);
    });

    it('signs in again without a refresh token', async () => {
      const user = new User();
      const client = session(user);
      await client.signIn(server.endpoint);
      const { refresh_token: _, ...tokens } = user.tokens();
      user.saveTokens(tokens);
      await client.recorder.idle();
      await server.advance(MORE_THAN_A_DAY_S);

      await client.signIn(server.endpoint);
      assert.equal((await client.call('whoami')).userId, claims(user.tokens().access_token).sub);
      assert.equal(user.authorizations.length, 2);
      assert.equal(user.authorizations[1].searchParams.get('scope'), sdk.scope);
      assert.deepEqual(client.recorder.statuses(`${server.clerk}/oauth/register`), [201]);
    });

    it('requests the scopes that a token lacks', async () => {
      const user = await signedInWith(sdk, 'profile offline_access');
      const client = session(user);
      const [lacking, all] = ['profile offline_access', sdk.scope].map((scope) => new Set(scope.split(' ')));

      if (sdk.stepsUp) {
        await client.signIn(server.endpoint);
        assert.deepEqual(new Set(user.authorizations[0].searchParams.get('scope').split(' ')), all);
        assert.deepEqual(new Set((await client.call('whoami')).scopes), all);
      } else {
        // It refreshes, which cannot add scopes, and gives up after one attempt.
        await assert.rejects(client.connect(server.endpoint), { code: 403 });
        assert.deepEqual(new Set(user.tokens().scope.split(' ')), lacking);
      }
      const [rejected] = client.recorder.of('POST', server.endpoint);
      assert.equal(rejected.status, 403);
      assert.match(rejected.challenge, /^Bearer error="insufficient_scope", .*scope="profile email"/);
    });

    // With a refresh token the 1.x client refreshes instead, which cannot add scopes.
    for (const scope of [SCOPES.join(' '), OFFLINE]) {
      it(`requests the scope that a tool requires, and continues, with ${scope}`, async () => {
        const user = await signedInWith(sdk, scope);
        const client = session(user);
        await client.connect(server.endpoint);
        const stepsUp = sdk.stepsUp || scope !== OFFLINE;
        const first = new Set(scope.split(' '));
        assert.deepEqual(new Set((await client.call('whoami')).scopes), first);
        client.recorder.exchanges = [];

        const needed = stepsUp ? sdk.api.UnauthorizedError : { code: 403 };
        await assert.rejects(client.call('get_public_metadata'), (error) => matches(error, needed));
        const [rejected] = client.recorder.of('POST', server.endpoint);
        assert.equal(rejected.status, 403);
        assert.match(rejected.challenge, /^Bearer error="insufficient_scope", .*scope="profile email public_metadata"$/);
        if (stepsUp) {
          const requested = user.authorizations.at(-1).searchParams.get('scope').split(' ');
          const all = [...first, ...sdk.scope.split(' '), 'public_metadata'];
          assert.deepEqual(new Set(requested), new Set(all));
          await sdk.finishAuth(client.transport, user.callback);
          const { sub } = claims(user.tokens().access_token);
          assert.deepEqual(await client.call('get_public_metadata'), { id: sub, publicMetadata: {} });
        }
        assert.equal(user.authorizations.length, stepsUp ? 1 : 0);
        // The session still works, with or without the additional scope.
        assert.equal((await client.call('whoami')).clientId, user.clientInformation().client_id);
      });
    }

    it('requests the scope that a tool requires by its arguments, and continues', async () => {
      const user = new User();
      const client = session(user);
      const endpoint = server.argumentsEndpoint;
      const read = (path) => client.call('read_note', { path });
      await client.signIn(endpoint);
      assert.deepEqual(await read('/shared/1'), { path: '/shared/1' });
      client.recorder.exchanges = [];

      await assert.rejects(read('/private/1'), sdk.api.UnauthorizedError);
      const [rejected] = client.recorder.of('POST', endpoint);
      assert.equal(rejected.status, 403);
      assert.match(rejected.challenge, /^Bearer error="insufficient_scope", .*scope="profile email public_metadata"$/);
      const requested = user.authorizations.at(-1).searchParams.get('scope').split(' ');
      assert.deepEqual(new Set(requested), new Set([...sdk.scope.split(' '), 'public_metadata']));
      await sdk.finishAuth(client.transport, user.callback);
      assert.deepEqual(await read('/private/1'), { path: '/private/1' });
      assert.equal(user.authorizations.length, 2);
      assert.deepEqual(await read('/shared/2'), { path: '/shared/2' });
    });

    it('keeps the scope that a tool required when its token has expired', async () => {
      const user = await signedInWith(sdk, SCOPES.join(' '));
      const client = session(user);
      const call = () => client.call('get_public_metadata');
      await client.connect(server.endpoint);
      await assert.rejects(call(), sdk.api.UnauthorizedError);
      await sdk.finishAuth(client.transport, user.callback);
      const { sub } = claims(user.tokens().access_token);
      assert.deepEqual(await call(), { id: sub, publicMetadata: {} });
      await client.recorder.idle();
      client.recorder.exchanges = [];

      await server.advance(MORE_THAN_A_DAY_S);
      // The 1.x client does not ask for `offline_access` by itself, so that it has to sign in again.
      const refreshes = user.tokens().refresh_token !== undefined;
      assert.equal(refreshes, sdk.stepsUp);
      if (!refreshes) {
        await assert.rejects(call(), sdk.api.UnauthorizedError);
        await sdk.finishAuth(client.transport, user.callback);
      }
      assert.deepEqual(await call(), { id: sub, publicMetadata: {} });
      const [rejected] = client.recorder.of('POST', server.endpoint);
      assert.equal(rejected.status, 401);
      assert.match(rejected.challenge, /^Bearer error="invalid_token", .*scope="profile email public_metadata"$/);
      assert.equal(user.authorizations.length, refreshes ? 1 : 2);
    });

    it('is identified by a client metadata document', async () => {
      const documents = await serveClientDocument();
      try {
        const { clientId } = documents;
        const user = new User({ clientInformation: { client_id: clientId, issuer: server.clerk } });
        const client = session(user);
        await client.signIn(server.endpoint);
        assert.equal((await client.call('whoami')).clientId, clientId);
        assert.equal(claims(user.tokens().access_token).client_id, clientId);
        assert.deepEqual(client.recorder.of('POST', `${server.clerk}/oauth/register`), []);
        assert.equal(documents.requests, 1);
      } finally {
        await documents.stop();
      }
    });

    it('prefers its metadata document over registration', async () => {
      const user = new User({ clientMetadataUrl: 'https://client.example/metadata.json' });
      // The SDK only uses https documents, which the fake Clerk cannot fetch here: stop before that.
      user.redirectToAuthorization = async (url) => void user.authorizations.push(url);
      const client = session(user);
      await assert.rejects(client.connect(server.endpoint), sdk.api.UnauthorizedError);
      assert.equal(user.authorizations[0].searchParams.get('client_id'), user.clientMetadataUrl);
      assert.deepEqual(client.recorder.of('POST', `${server.clerk}/oauth/register`), []);
    });

    it('discovers the metadata without a challenge', async () => {
      const { discoverOAuthServerInfo } = sdk.api;
      for (const url of [server.endpoint, `${server.endpoint}/`, `${server.origin}/`]) {
        const found = await discoverOAuthServerInfo(url);
        assert.equal(found.authorizationServerUrl, server.clerk);
        assert.equal(found.authorizationServerMetadata.issuer, server.clerk);
        assert.equal(found.resourceMetadata.resource, server.endpoint);
        assert.deepEqual(found.resourceMetadata.scopes_supported, SCOPES);
      }
    });

    it('connects to the URL with a trailing slash', async () => {
      const user = new User();
      const client = session(user);
      await client.signIn(`${server.endpoint}/`);
      assert.equal(claims(user.tokens().access_token).aud, server.endpoint);
      assert.equal((await client.call('whoami')).clientId, user.clientInformation().client_id);
    });

    it('is accepted as a client of 2025-03-26, which fetches all metadata from the MCP host', async () => {
      const user = new User({ scope: 'profile email' });
      const client = session(user, legacyOptions());
      await client.signIn(lenient.endpoint);
      const token = claims(user.tokens().access_token);
      assert.equal('aud' in token, false);
      assert.equal((await client.call('whoami')).userId, token.sub);
      const documentUrl = `${lenient.origin}/.well-known/oauth-authorization-server`;
      assert.equal(client.recorder.of('GET', documentUrl)[0].status, 200);
    });

    it('is rejected as a client of 2025-03-26 if tokens must name their audience', async () => {
      const user = new User({ scope: 'profile email' });
      const client = session(user, legacyOptions());
      await client.authorize(server.endpoint);
      client.recorder.exchanges = [];
      // Without a refresh token it stops after one call.
      const { refresh_token: _, ...tokens } = user.tokens();
      user.saveTokens(tokens);
      await assert.rejects(client.connect(server.endpoint), sdk.api.UnauthorizedError);
      const [rejected] = client.recorder.of('POST', server.endpoint);
      assert.equal(rejected.status, 401);
      assert.match(rejected.challenge, /^Bearer error="invalid_token", /);
    });
  });
}

/** Returns whether an error is of this class, or has these members. */
function matches(error, expected) {
  if (typeof expected === 'function') return error instanceof expected;
  return Object.entries(expected).every(([name, value]) => error[name] === value);
}

/** Returns a user with a token for these scopes, and with `offline_access` also a refresh token. */
async function signedInWith(sdk, scope) {
  const { discoverOAuthServerInfo, registerClient, startAuthorization, exchangeAuthorization } = sdk.api;
  const { authorizationServerMetadata: metadata } = await discoverOAuthServerInfo(server.endpoint);
  const user = new User();
  const resource = new URL(server.endpoint);
  const clientInformation = await registerClient(server.clerk, { metadata, clientMetadata: user.clientMetadata });
  const shared = { metadata, clientInformation, resource };
  const state = user.state();
  const started = await startAuthorization(server.clerk, { ...shared, redirectUrl: REDIRECT_URI, scope, state });
  await user.redirectToAuthorization(started.authorizationUrl);
  const tokens = await exchangeAuthorization(server.clerk, {
    ...shared,
    authorizationCode: user.callback.get('code'),
    iss: user.callback.get('iss'),
    codeVerifier: started.codeVerifier,
    redirectUri: REDIRECT_URI,
  });
  const issuer = server.clerk;
  return new User({ clientInformation: { ...clientInformation, issuer }, tokens: { ...tokens, issuer } });
}

/** The metadata is served by the MCP host while its issuer is Clerk, so this check must be off. */
function legacyOptions() {
  return { wrap: withoutResourceMetadata, skipIssuerMetadataValidation: true };
}

/** Serves a client metadata document, and counts the requests. */
async function serveClientDocument() {
  const served = { requests: 0 };
  const http = createServer((request, response) => {
    served.requests += 1;
    const body = JSON.stringify({
      client_id: served.clientId,
      client_name: 'interop',
      redirect_uris: [REDIRECT_URI],
      token_endpoint_auth_method: 'none',
    });
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  served.clientId = `http://127.0.0.1:${http.address().port}/client.json`;
  served.stop = () => new Promise((resolve) => http.close(resolve));
  return served;
}

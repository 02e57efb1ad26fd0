// An OAuthClientProvider for both SDKs that approves every request and stores in memory.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

export const REDIRECT_URI = 'http://127.0.0.1:8976/callback';

export class User {
  redirectUrl = REDIRECT_URI;
  stored = {};
  /** The URLs of the authorization requests. */
  authorizations = [];
  /** The parameters of the last redirect. */
  callback;

  constructor({ clientInformation, clientMetadataUrl, scope, tokens } = {}) {
    this.stored = { clientInformation, tokens };
    this.clientMetadataUrl = clientMetadataUrl;
    this.clientMetadata = {
      client_name: 'interop',
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      ...(scope && { scope }),
    };
  }

  /** Requests the authorization URL. The fake Clerk redirects without user interaction. */
  async redirectToAuthorization(url) {
    this.authorizations.push(url);
    const response = await fetch(url, { redirect: 'manual' });
    assert.equal(response.status, 302, await response.text());
    this.callback = new URL(response.headers.get('location')).searchParams;
    assert.equal(this.callback.get('state'), url.searchParams.get('state'));
  }

  state = () => randomUUID();
  clientInformation = () => this.stored.clientInformation;
  saveClientInformation = (value) => void (this.stored.clientInformation = value);
  tokens = () => this.stored.tokens;
  saveTokens = (value) => void (this.stored.tokens = value);
  codeVerifier = () => this.stored.codeVerifier;
  saveCodeVerifier = (value) => void (this.stored.codeVerifier = value);
  discoveryState = () => this.stored.discoveryState;
  saveDiscoveryState = (value) => void (this.stored.discoveryState = value);

  invalidateCredentials(scope) {
    const names = { client: 'clientInformation', tokens: 'tokens', verifier: 'codeVerifier', discovery: 'discoveryState' };
    if (scope === 'all') this.stored = {};
    else delete this.stored[names[scope]];
  }
}

/** Returns the claims of a JWT without verifying it. */
export function claims(token) {
  const [, payload, , ...more] = token.split('.');
  assert.deepEqual(more, []);
  return JSON.parse(Buffer.from(payload, 'base64url'));
}

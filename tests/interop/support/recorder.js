// A `fetch` that records requests and responses.

import { setImmediate } from 'node:timers/promises';

export class Recorder {
  exchanges = [];
  underWay = new Set();

  /** The `fetch` option of the SDKs. */
  fetch = (input, init) => {
    const exchange = this.exchange(input, init).finally(() => this.underWay.delete(exchange));
    this.underWay.add(exchange);
    return exchange;
  };

  async exchange(input, init) {
    const request = new Request(input, init);
    const body = request.method === 'POST' ? await request.clone().text() : undefined;
    const response = await fetch(input, init);
    this.exchanges.push({
      method: request.method,
      url: request.url,
      headers: request.headers,
      body,
      status: response.status,
      challenge: response.headers.get('www-authenticate'),
    });
    return response;
  }

  /** Waits for the requests that the client makes without waiting for them itself. */
  async idle() {
    do {
      await Promise.allSettled(this.underWay);
      await setImmediate();
    } while (this.underWay.size > 0);
  }

  /** Returns the exchanges with a URL, in order. */
  of(method, url) {
    return this.exchanges.filter((exchange) => exchange.method === method && exchange.url === url);
  }

  /** Returns the statuses of the POSTs to a URL, in order. */
  statuses(url) {
    return this.of('POST', url).map(({ status }) => status);
  }
}

/** Returns a `fetch` for a client of MCP 2025-03-26: without RFC 9728 metadata and challenges. */
export function withoutResourceMetadata(inner) {
  return async (input, init) => {
    if (new URL(input).pathname.startsWith('/.well-known/oauth-protected-resource')) {
      return new Response(null, { status: 404 });
    }
    const response = await inner(input, init);
    const headers = new Headers(response.headers);
    headers.delete('www-authenticate');
    const { status, statusText } = response;
    return new Response(response.body, { status, statusText, headers });
  };
}

// A proxy that puts all requests to one path of a server, and adds a token to them.

import { once } from 'node:events';
import { createServer, request as forward } from 'node:http';

/** Starts a proxy to the URL. Everything else is passed on as it is, `Host` included. */
export async function startProxy(target, token) {
  const { hostname: host, port, pathname: path } = new URL(target);
  const proxy = createServer((request, response) => {
    const { method, rawHeaders } = request;
    const headers = token ? [...rawHeaders, 'Authorization', `Bearer ${token}`] : rawHeaders;
    const upstream = forward({ host, port, path, method, headers, setHost: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const stop = () => {
    proxy.close();
    proxy.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${proxy.address().port}/mcp`, stop };
}

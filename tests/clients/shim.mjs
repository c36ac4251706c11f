// The conformance suite cannot send a token. This shim adds one and forwards everything else unchanged; its own name in
// Host and Origin becomes the gateway's, and any other value (the suite sends hostile ones) stays as it is.
import { createServer } from 'node:http';
import { Agent, request as send } from 'node:https';

export async function openShim(target, token) {
  const { hostname, port, host, origin, pathname } = new URL(target);
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    const own = `127.0.0.1:${server.address().port}`;
    const headers = { ...incoming.headers, authorization: `Bearer ${token}` };
    if (headers.host === own) headers.host = host;
    if (headers.origin === `http://${own}`) headers.origin = origin;
    const forwarded = send({ agent, hostname, port, path: pathname, method: incoming.method, headers, servername: hostname });
    forwarded.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
      answer.on('error', () => outgoing.destroy());
    });
    forwarded.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${pathname}`,
    close() {
      server.closeAllConnections();
      server.close();
      agent.destroy();
    },
  };
}

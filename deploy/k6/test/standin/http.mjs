// The one thread that speaks HTTP, for all users: a user is blocked while it waits, as in k6.

import http from 'node:http';
import { performance } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';

const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });

parentPort.on('message', ({ port, signal }) => {
  port.on('message', async ({ id, request }) => {
    port.postMessage({ id, reply: await send(request) });
    Atomics.add(signal, 0, 1);
    Atomics.notify(signal, 0);
  });
});

function send({ method, url, body, headers, timeout_ms }) {
  return new Promise((done) => {
    const began = performance.now();
    const finish = (reply) => done({ ...reply, duration: performance.now() - began });
    const fail = (error) => finish({ status: 0, body: null, headers: {}, error: error.message });
    const outgoing = http.request(url, { method, headers, agent, timeout: timeout_ms }, (reply) => {
      const parts = [];
      reply.on('data', (part) => parts.push(part));
      reply.on('error', fail);
      reply.on('end', () => {
        finish({ status: reply.statusCode, body: Buffer.concat(parts).toString(), headers: reply.headers, error: '' });
      });
    });
    outgoing.on('error', fail);
    outgoing.on('timeout', () => outgoing.destroy(new Error('request timeout')));
    outgoing.end(body ?? undefined);
  });
}

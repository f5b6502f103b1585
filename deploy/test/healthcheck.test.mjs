// The image's health check on a server that is healthy, one that is not, one that does not reply, and none.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

const CHECK = new URL('../healthcheck.sh', import.meta.url).pathname;

let server, port;
before(async () => {
  server = createServer((incoming, reply) => {
    if (incoming.url === '/silent') return;
    reply.statusCode = incoming.url === '/livez' ? 200 : 503;
    reply.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address());
});
after(() => {
  server.close();
  server.closeAllConnections();
});

async function check(...args) {
  const child = spawn(CHECK, args, { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  return code;
}

test('200 is healthy', async () => assert.equal(await check(port, '/livez'), 0));
test('503 is not', async () => assert.equal(await check(port, '/readyz'), 1));
test('a closed port is not', async () => assert.equal(await check(1, '/livez'), 1));
test('no reply is not, after two seconds', async () => {
  const started = Date.now();
  assert.equal(await check(port, '/silent'), 1);
  const tookMs = Date.now() - started;
  // The script's own timeout is below the image's three seconds; a busy machine starts the script late.
  assert.match(readFileSync(CHECK, 'utf8'), /read -r -t 2 /);
  assert.ok(tookMs >= 1_500 && tookMs < 20_000, `${tookMs} ms`);
});

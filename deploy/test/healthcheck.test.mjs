// What the image's health check says of a server that is well, one that is not, one that does not answer, and none.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

const CHECK = new URL('../healthcheck.sh', import.meta.url).pathname;

let server, port;
before(async () => {
  server = createServer((asked, reply) => {
    if (asked.url === '/silent') return;
    reply.statusCode = asked.url === '/livez' ? 200 : 503;
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

test('200 is well', async () => assert.equal(await check(port, '/livez'), 0));
test('503 is not', async () => assert.equal(await check(port, '/readyz'), 1));
test('nobody there is not', async () => assert.equal(await check(1, '/livez'), 1));
test('silence is not, after two seconds', async () => {
  const from = Date.now();
  assert.equal(await check(port, '/silent'), 1);
  assert.ok(Date.now() - from < 2_900, 'within the three seconds that the image gives it');
});

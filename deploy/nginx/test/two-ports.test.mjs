// The promises of two-ports.conf: what is the merchant's is on the merchant's port alone.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Instance, Nginx, findPort } from './harness.mjs';

let instance, nginx;
before(async () => {
  instance = await Instance.start('shop');
  nginx = await Nginx.start(['two-ports.conf'], async (nginx) => {
    nginx.adminPort = await findPort();
    nginx.change('nginx.conf', 'include cluster.conf;', 'include two-ports.conf;');
    nginx.change('two-ports.conf', 'listen 80;', `listen 127.0.0.1:${nginx.port};`);
    nginx.change('two-ports.conf', 'listen 8081;', `listen 127.0.0.1:${nginx.adminPort};`);
    nginx.change('two-ports.conf', 'server 127.0.0.1:8080;', `server 127.0.0.1:${instance.port};`);
  });
});
after(async () => {
  await nginx?.stop();
  await instance.stop();
});

const askAdmin = (path, headers) => nginx.send('GET', path, headers, undefined, nginx.adminPort);

test('the shop is on both ports', async () => {
  for (const path of ['/', '/s/lamp', '/api/v1/flash-sales', '/administration', '/api/v1/orders']) {
    assert.equal((await nginx.send('GET', path)).text, 'shop', path);
  }
  for (const path of ['/s/lamp', '/api/v1/flash-sales']) assert.equal((await askAdmin(path)).text, 'shop', path);
});

test('pages and calls of the merchant are on their own port alone, however they are written', async () => {
  const paths = ['/admin', '/admin/', '/admin/products', '/api/v1/admin/orders', '/%61dmin', '/s/../admin', '//admin', '/api/v1//admin/orders'];
  for (const path of paths) {
    instance.requests.length = 0;
    const { status, headers, text } = await nginx.send('GET', path);
    assert.deepEqual([status, headers['content-type']], [404, 'application/problem+json'], path);
    assert.equal(JSON.parse(text).code, 'not_found');
    assert.equal(instance.requests.length, 0, path);
  }
  for (const path of ['/admin', '/admin/products', '/api/v1/admin/orders']) assert.equal((await askAdmin(path)).text, 'shop', path);
  const { status, headers } = await askAdmin('/');
  assert.deepEqual([status, new URL(headers.location, 'http://x').pathname], [302, '/admin']);
});

test('sockets pass on both, and the instance gets the address and host of the client', async () => {
  for (const port of [nginx.port, nginx.adminPort]) {
    const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket' };
    const { status, instance: taken } = await nginx.send('GET', '/socket.io/?EIO=4&transport=websocket', upgrade, undefined, port);
    assert.deepEqual([status, taken], [101, 'shop']);
    await nginx.send('GET', '/api/v1/flash-sales', { 'X-Forwarded-For': '203.0.113.7', Host: 'shop.example:8081' }, undefined, port);
    const { headers } = instance.requests.at(-1);
    assert.deepEqual([headers['x-forwarded-for'], headers.host], ['203.0.113.7, 127.0.0.1', 'shop.example:8081']);
  }
});

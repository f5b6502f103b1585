// Live updates behind nginx with the configuration in deploy/nginx.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { io as newest } from 'socket.io-client';
import first from 'socket.io-client-first';
import { Shop, request, connected, waitForEvent, waitUntil } from './shop.mjs';
import { Nginx } from './network.mjs';

describe('behind nginx', () => {
  let shop, nginx;
  before(async () => {
    shop = await Shop.start('--limits', 'off', '--trusted-proxies', '127.0.0.1', '--sockets-per-address', '3');
    nginx = await Nginx.before(shop.url);
  });
  after(async () => {
    await nginx?.stop();
    await shop.stop();
  });

  const through = (io, auth, options) => shop.socket(io, auth, { ...options, url: nginx.url });

  for (const [name, io] of [['newest 4.x', newest], ['4.0.0', first.io]]) {
    for (const [transports, becomes] of [[['polling'], 'polling'], [['polling', 'websocket'], 'websocket'], [['websocket'], 'websocket']]) {
      test(`client ${name} by ${transports.join(' then ')}`, async () => {
        const sale = await shop.sale({ quantity: 3, payment: 'none' });
        const token = await shop.buyer();
        const socket = through(io, { token }, { transports });
        await connected(socket);
        await waitUntil(`it goes by ${becomes}`, () => socket.io.engine.transport.name === becomes);
        assert.equal((await request(socket, 'inventory:watch', { flashSaleId: sale })).available, 3);
        const order = await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, token);
        await waitForEvent(socket, 'inventory:update', (update) => update.sold === 1);
        await waitForEvent(socket, 'order:update', (update) => update.id === order.id && update.status === 'confirmed');
        // Twice, because a client must poll again after a reply.
        await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, await shop.buyer());
        await waitForEvent(socket, 'inventory:update', (update) => update.sold === 2);
        assert.equal(socket.io.engine.transport.name, becomes);
        socket.disconnect();
      });
    }
  }

  test('each client has its own address', async () => {
    const from = (address) => through(newest, undefined, { transports: ['polling'], reconnection: false, extraHeaders: { 'x-forwarded-for': address } });
    // nginx appends the client's address; the last address that is not a trusted proxy counts.
    const all = Array.from({ length: 3 }, () => from('203.0.113.7'));
    await Promise.all(all.map(connected));
    const late = from('203.0.113.7');
    const message = await new Promise((done) => late.on('connect_error', (error) => done(error.message)));
    assert.match(message, /^too_many_sockets: /);
    await connected(from('203.0.113.8'));
  });
});

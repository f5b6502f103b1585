// The dialect `turnstile` as its pages see it: one listener, no handshake payload, rooms by name, and the outcomes of purchases.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { io as newest } from 'socket.io-client';
import first from 'socket.io-client-first';
import { Shop, connected, receivedEvents, waitForEvent, waitUntil } from './shop.mjs';

const FLAGS = ['--limits', 'off', '--dialect-admin', 'open', '--dialect-origins', 'https://shop.example'];
const ORIGIN = 'https://shop.example';

/** A shop whose dialect has a listener of its own, or is below its prefix. */
async function startShop(mount) {
  const shop = await Shop.start('--dialects', mount, ...FLAGS);
  const own = /dialect="?turnstile"? address=(\S+)/.exec(shop.log);
  shop.api = own ? `http://${own[1]}` : `${shop.url}/dialects/turnstile`;
  shop.namespace = own ? `http://${own[1]}` : `${shop.url}/dialects/turnstile`;
  return shop;
}

async function call(shop, path, body, headers = {}) {
  const reply = await fetch(`${shop.api}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body ?? {}),
  });
  return { status: reply.status, body: await reply.json() };
}

async function buy(shop, userId, key = randomUUID()) {
  const reply = await call(shop, '/buy', { userId, productId: 'sneaker-001' }, { 'idempotency-key': key });
  assert.equal(reply.status, 200, JSON.stringify(reply));
  return reply.body;
}

/** Ends all sales, so that the next one is the only one. */
async function closeSales(shop) {
  const { items } = await (await fetch(`${shop.url}/api/v1/flash-sales`)).json();
  for (const sale of items) await shop.post(`/admin/flash-sales/${sale.id}/close`);
}

async function join(shop, io, userId, options) {
  const socket = shop.socket(io, undefined, { url: shop.namespace, ...options });
  await connected(socket);
  socket.emit('join', userId);
  return socket;
}

for (const mount of ['turnstile=127.0.0.1:0', 'turnstile']) {
  for (const [name, io] of [['newest 4.x', newest], ['4.0.0', first.io]]) {
    for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
      describe(`${mount}, client ${name} by ${transports.join(' then ')}`, () => everywhere(mount, io, { transports }));
    }
  }
}

/** What holds for every client by every way. */
function everywhere(mount, io, options) {
  let shop;
  before(async () => { shop = await startShop(mount); });
  after(() => shop.stop());

  test('a winner and a loser get their outcomes, and everyone the stock', async () => {
    await shop.sale({ quantity: 1, payment: 'none', limitPerBuyer: 1 });
    const [winner, loser, watcher] = [await join(shop, io, 'ada', options), await join(shop, io, 'bob', options), await join(shop, io, 'eve', options)];
    await waitForEvent(watcher, 'system-telemetry', (telemetry) => telemetry.activeUsers === 3);
    const telemetry = receivedEvents(watcher, 'system-telemetry').at(-1);
    assert.equal(typeof telemetry.queueLength, 'number');
    assert.ok(['Idle', 'Writing...'].includes(telemetry.dbStatus), telemetry.dbStatus);
    // A join has no acknowledgement; what the client sent before a request may come after it.
    await new Promise((done) => setTimeout(done, 300));

    const won = await buy(shop, 'ada');
    assert.equal(won.state, 'completed');
    const confirmed = await waitForEvent(winner, 'order_confirmed');
    assert.deepEqual([confirmed.success, confirmed.productId, confirmed.remainingStock, confirmed.jobId], [true, 'sneaker-001', 0, won.jobId]);
    assert.equal(typeof confirmed.message, 'string');
    for (const socket of [winner, loser, watcher]) await waitForEvent(socket, 'stock-update', (update) => update.stock === 0);

    const before = receivedEvents(loser, 'stock-update').length;
    const lost = await buy(shop, 'bob');
    assert.equal(lost.state, 'failed');
    const failed = await waitForEvent(loser, 'order_failed');
    assert.deepEqual([failed.success, failed.remainingStock, failed.jobId], [false, 0, lost.jobId]);
    await waitUntil('the loser has a stock-update after order_failed', () => receivedEvents(loser, 'stock-update').length > before);
    const order = loser.received.map((message) => message.event);
    assert.ok(order.lastIndexOf('stock-update') > order.indexOf('order_failed'));

    assert.equal(receivedEvents(winner, 'order_confirmed').length, 1);
    for (const socket of [winner, watcher]) assert.equal(receivedEvents(socket, 'order_failed').length, 0, 'another buyer\'s outcome');
    assert.equal(receivedEvents(watcher, 'order_confirmed').length, 0);
  });

  test('the gate changes by the dialect, by a native admin and by time, and each change is sent once', async () => {
    await closeSales(shop);
    const socket = await join(shop, io, 'ada', options);
    const statuses = () => receivedEvents(socket, 'sale-status-change').map((change) => change.status);
    await waitForEvent(socket, 'system-telemetry');
    const seen = statuses().length;
    const sale = await shop.sale({ quantity: 5, payment: 'none' }, -1, 3600);
    await waitUntil('open', () => statuses().length === seen + 1);
    assert.equal((await call(shop, '/admin/close')).body.status, 'closed');
    await waitUntil('closed', () => statuses().length === seen + 2);
    await shop.post(`/admin/flash-sales/${sale}/resume`);
    await waitUntil('open again', () => statuses().length === seen + 3);
    await shop.post(`/admin/flash-sales/${sale}/close`);
    await waitUntil('closed for good', () => statuses().length === seen + 4);
    assert.deepEqual(statuses().slice(seen), ['open', 'closed', 'open', 'closed']);
  });
}

describe('the stock', () => {
  let shop;
  before(async () => { shop = await startShop('turnstile=127.0.0.1:0'); });
  after(() => shop.stop());

  test('is sent five times a second at most, and the last value always', async () => {
    await shop.sale({ quantity: 60, payment: 'none', limitPerBuyer: 1 });
    const socket = await join(shop, newest, 'watcher', { transports: ['websocket'] });
    for (let n = 0; n < 60; n += 1) {
      await buy(shop, `buyer-${n}`);
      await new Promise((done) => setTimeout(done, 20));
    }
    await waitForEvent(socket, 'stock-update', (update) => update.stock === 0);
    const updates = socket.received.filter((message) => message.event === 'stock-update');
    assert.equal(updates.at(-1).document.stock, 0);
    const stocks = updates.map((message) => message.document.stock);
    assert.deepEqual(stocks, [...stocks].sort((a, b) => b - a), 'it never goes back');
    const seconds = (updates.at(-1).at - updates[0].at) / 1000;
    assert.ok(updates.length <= Math.ceil(seconds * 5) + 1, `${updates.length} updates in ${seconds} s`);
    assert.equal((await call(shop, '/restock', { amount: 7 })).body.remainingStock, 7);
    await waitForEvent(socket, 'stock-update', (update) => update.stock === 7);
  });

  test('opens and closes by time alone', async () => {
    await closeSales(shop);
    const socket = await join(shop, newest, 'watcher', { transports: ['websocket'] });
    await shop.sale({ quantity: 3, payment: 'none' }, 1, 3);
    const statuses = () => receivedEvents(socket, 'sale-status-change').map((change) => change.status);
    await waitUntil('it opened', () => statuses().includes('open'));
    await waitUntil('it closed', () => statuses().at(-1) === 'closed');
  });

  test('a socket has 32 rooms at most, and no room for what is no name', async () => {
    await closeSales(shop);
    await shop.sale({ quantity: 100, payment: 'none' });
    const socket = await join(shop, newest, { not: 'a name' }, { transports: ['websocket'] });
    for (let n = 0; n < 33; n += 1) socket.emit('join', `room-${n}`);
    for (let n = 0; n < 32; n += 1) socket.emit('join', `room-${n}`);
    const heard = () => ['order_confirmed', 'order_failed'].flatMap((event) => receivedEvents(socket, event).map(({ jobId }) => jobId));
    // Joining has no reply: the rooms are there once a job of the last one is heard.
    await waitUntil('the rooms are joined', async () => {
      const { jobId } = await buy(shop, 'room-31');
      await new Promise((done) => setTimeout(done, 300));
      return heard().includes(jobId);
    });
    const last = await buy(shop, 'room-32');
    const known = await buy(shop, 'room-31');
    await waitUntil('the job after it is heard', () => heard().includes(known.jobId));
    assert.ok(!heard().includes(last.jobId), 'the 33rd room');
  });
});

for (const mount of ['turnstile=127.0.0.1:0', 'turnstile']) {
  test(`polling replies have the headers for credentials (${mount})`, async () => {
    const shop = await startShop(mount);
    try {
      const { origin } = new URL(shop.namespace);
      const polling = `${origin}/socket.io/?EIO=4&transport=polling`;
      const reply = await fetch(polling, { headers: { origin: ORIGIN } });
      assert.equal(reply.status, 200);
      assert.equal(reply.headers.get('access-control-allow-origin'), ORIGIN);
      assert.equal(reply.headers.get('access-control-allow-credentials'), 'true');
      assert.match(reply.headers.get('vary') ?? '', /origin/i);
      const stranger = await fetch(polling, { headers: { origin: 'https://else.example' } });
      assert.equal(stranger.headers.get('access-control-allow-credentials'), null);
    } finally {
      await shop.stop();
    }
  });
}

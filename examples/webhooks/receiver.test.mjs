// The example against a real Doorbuster: what arrives is verified by a library that nobody here wrote.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Shop, waitUntil } from '../../crates/server/tests/sockets/shop.mjs';
import { startReceiver } from './receiver.mjs';

const shop = await Shop.start(
  '--limits', 'off', '--public-url', 'https://shop.example', '--webhooks-allow-http', '--webhooks-allow-private', '127.0.0.0/8',
);
after(() => shop.stop());

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

async function receive(t, secret = SECRET) {
  const events = [];
  const server = await startReceiver(secret, (event) => events.push(event));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { events, url: `http://127.0.0.1:${server.address().port}/hooks` };
}

async function deliveries(id) {
  const headers = { authorization: `Bearer ${shop.admin}` };
  const reply = await fetch(`${shop.url}/api/v1/admin/webhooks/${id}/deliveries`, { headers });
  return (await reply.json()).items;
}

test('the events of a purchase arrive with valid signatures', async (t) => {
  const { events, url } = await receive(t);
  const webhook = await shop.post('/admin/webhooks', { url, types: ['order.confirmed'], secret: SECRET });
  assert.equal(webhook.secret, SECRET);
  const flashSaleId = await shop.sale({ quantity: 3, payment: 'none', limitPerBuyer: 2 });
  const order = await shop.post('/orders', { flashSaleId, quantity: 2 }, await shop.buyer());
  await waitUntil('the event arrives', () => events.length > 0);
  const [event] = events;
  assert.equal(event.type, 'doorbuster.order.confirmed');
  assert.equal(event.specversion, '1.0');
  assert.equal(event.source, 'https://shop.example');
  assert.equal(event.data.orderId, order.id);
  assert.equal(event.data.quantity, 2);
  const [delivery] = await waitUntil('it is recorded', async () => {
    const items = await deliveries(webhook.id);
    return items[0]?.state === 'delivered' && items;
  });
  assert.deepEqual(delivery.event, event);
});

test('during a rotation the old and the new secret are valid', async (t) => {
  const { events, url } = await receive(t);
  const webhook = await shop.post('/admin/webhooks', { url, types: ['*'], secret: SECRET });
  const rotated = await shop.post(`/admin/webhooks/${webhook.id}/rotate-secret`);
  assert.notEqual(rotated.secret, SECRET);
  await shop.post(`/admin/webhooks/${webhook.id}/test`);
  await waitUntil('the test arrives', () => events.some((event) => event.type === 'doorbuster.webhook.test'));
  const other = await receive(t, rotated.secret);
  await shop.post(`/admin/webhooks/${webhook.id}`, { url: other.url }, shop.admin, 'PATCH');
  await shop.post(`/admin/webhooks/${webhook.id}/test`);
  await waitUntil('the test arrives there', () => other.events.some((event) => event.type === 'doorbuster.webhook.test'));
});

test('a receiver with another secret refuses what arrives, and the delivery says so', async (t) => {
  const { events, url } = await receive(t, `whsec_${Buffer.alloc(32, 9).toString('base64')}`);
  const webhook = await shop.post('/admin/webhooks', { url, types: ['payment.captured'], secret: SECRET });
  await shop.post(`/admin/webhooks/${webhook.id}/test`);
  const [delivery] = await waitUntil('the try is recorded', async () => {
    const items = await deliveries(webhook.id);
    return items[0]?.tries > 0 && items;
  });
  assert.equal(delivery.lastStatus, 401);
  assert.equal(delivery.lastReply, 'the signature is not valid');
  assert.deepEqual(events, []);
});

// Clients that do not read, do not answer pings, stay after they left, or lose their connection again and again: what they cost, and
// how they end.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { io as newest } from 'socket.io-client';
import { Shop, request, connected, receivedEvents, waitForEvent, waitUntil } from './shop.mjs';
import { RawSocket, TcpProxy } from './network.mjs';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const memoryKib = (shop) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${shop.child.pid}/status`, 'utf8'))[1]);

describe('a client that does not read', () => {
  const SILENT = 20;
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--socket-ping-interval', '4s', '--socket-ping-timeout', '3s'); });
  after(() => shop.stop());

  test('is cut off, costs a bounded amount of memory, and disturbs no other client', async () => {
    const sales = await Promise.all(Array.from({ length: 16 }, () => shop.sale({ quantity: 1 })));
    const other = shop.socket(newest, undefined, { transports: ['websocket'] });
    await connected(other);
    await request(other, 'inventory:watch', { flashSaleId: sales[0] });
    const crowd = await Promise.all(Array.from({ length: SILENT }, () => RawSocket.open(shop.url, true)));
    for (const raw of crowd) {
      await raw.connectNamespace();
      for (const sale of sales) raw.watch(sale);
    }
    await waitUntil('all watch', () => crowd.every((raw) => raw.texts.filter((text) => text.startsWith('42["inventory:update"')).length >= sales.length));
    assert.equal(await shop.metric('sockets_open'), SILENT + 1);

    // Half of them send pongs without reading the ping; a few read a little now and then.
    const before = memoryKib(shop);
    for (const raw of crowd) raw.stopReading();
    const pongs = setInterval(() => crowd.slice(0, SILENT / 2).forEach((raw) => raw.tcp.writable && raw.send('3')), 500);
    const sips = setInterval(() => crowd.slice(SILENT / 2, SILENT / 2 + 4).forEach((raw) => raw.tcp.read(256)), 250);
    let most = 0;
    let isOver = false;
    const changing = sales.map(async (sale) => {
      while (!isOver) {
        await shop.post(`/admin/flash-sales/${sale}/pause`);
        await shop.post(`/admin/flash-sales/${sale}/resume`);
      }
    });
    try {
      await waitUntil('all sockets that do not read are closed', async () => {
        most = Math.max(most, memoryKib(shop));
        await pause(200);
        return (await shop.metric('sockets_open')) === 1;
      }, 60_000);
    } finally {
      isOver = true;
      clearInterval(pongs);
      clearInterval(sips);
      await Promise.all(changing);
    }
    // A socket queues 128 KiB of written bytes and 32 packets; the rest is what the changes themselves need.
    assert.ok(most - before < SILENT * 512 + 16_384, `${most - before} KiB more than before`);
    assert.ok(other.connected);
    await shop.post(`/admin/flash-sales/${sales[0]}/close`);
    await waitForEvent(other, 'sale:status-change', (update) => update.status === 'closed');
    // The connections themselves are closed too, not only the server's sockets.
    for (const raw of crowd) raw.tcp.resume();
    await waitUntil('the connections are closed', () => crowd.every((raw) => raw.isClosed));
  });

  test('or does not answer is dropped after the ping timeout', async () => {
    const before = await shop.metric('sockets_open');
    const [dead, other] = [await RawSocket.open(shop.url), shop.socket(newest)];
    const started = Date.now();
    await dead.connectNamespace();
    await connected(other);
    await waitUntil('it is cut', () => dead.isClosed);
    const tookMs = Date.now() - started;
    assert.ok(tookMs > 2_500, `the first ping comes at once, 3 s to answer, cut after ${tookMs} ms`);
    await waitUntil('it is gone', async () => (await shop.metric('sockets_open')) === before + 1);
    assert.ok(other.connected);
  });

  test('or floods is disconnected', async () => {
    const flood = await RawSocket.open(shop.url);
    await flood.connectNamespace();
    for (let n = 0; n < 2_000; n += 1) flood.send(`42${n}["inventory:watch",{}]`);
    await waitUntil('it is disconnected', () => flood.isClosed || flood.texts.includes('41'));
    flood.end();
  });
});

describe('the limit of sockets', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--sockets-max', '2'); });
  after(() => shop.stop());

  test('a client that leaves the namespace but keeps the connection still counts', async () => {
    const staying = [await RawSocket.open(shop.url), await RawSocket.open(shop.url)];
    for (const raw of staying) {
      await raw.connectNamespace();
      raw.send('41');
    }
    await waitUntil('they have left', async () => (await shop.metric('sockets_open')) === 0);
    const options = { transports: ['websocket'], reconnection: false };
    const late = shop.socket(newest, undefined, options);
    const message = await new Promise((done) => late.on('connect_error', (error) => done(error.message)));
    assert.match(message, /^overloaded: /);
    for (const raw of staying) raw.end();
    await waitUntil('there is a free socket', async () => {
      const next = shop.socket(newest, undefined, options);
      return Promise.race([new Promise((done) => next.on('connect_error', () => done(false))), connected(next).then(() => true)]);
    });
  });

  test('sockets that open and close at once leave nothing behind', async () => {
    for (const socket of shop.sockets) socket.disconnect();
    for (let round = 0; round < 20; round += 1) {
      await waitUntil('there is a free socket', async () => {
        const raw = await RawSocket.open(shop.url);
        raw.send('40');
        // Sometimes before the reply, sometimes after it.
        await pause(round % 3);
        raw.end();
        return true;
      });
    }
    await waitUntil('all are gone', async () => (await shop.metric('sockets_open')) === 0);
    const two = [await RawSocket.open(shop.url), await RawSocket.open(shop.url)];
    await waitUntil('both sockets are free', async () => {
      for (const raw of two) raw.send('40');
      return two.every((raw) => raw.texts.some((text) => text.startsWith('40')));
    });
    for (const raw of two) raw.end();
  });
});

describe('sessions', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off'); });
  after(() => shop.stop());

  test('an ended session receives nothing more of its buyer, and other sessions go on', async () => {
    const sale = await shop.sale({ quantity: 5 });
    const ended = await shop.buyer();
    const other = await shop.login(shop.names);
    const options = { transports: ['websocket'], reconnection: false };
    const tabs = [shop.socket(newest, { token: ended }, options), shop.socket(newest, { token: ended }, options)];
    const [phone, stranger] = [shop.socket(newest, { token: other }, options), shop.socket(newest, { token: await shop.buyer() }, options)];
    await Promise.all([...tabs, phone, stranger].map(connected));
    const gone = tabs.map((tab) => new Promise((done) => tab.on('disconnect', done)));
    await shop.post('/auth/logout', {}, ended);
    const order = await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, other);
    await waitForEvent(phone, 'order:update', (update) => update.id === order.id);
    for (const [n, tab] of tabs.entries()) {
      assert.equal((await waitForEvent(tab, 'session:over')).code, 'unauthorized');
      assert.equal(await gone[n], 'io server disconnect');
      assert.deepEqual(receivedEvents(tab, 'order:update'), [], 'not even the first order after that');
    }
    assert.ok(phone.connected && stranger.connected);
    const again = shop.socket(newest, { token: ended }, options);
    const message = await new Promise((done) => again.on('connect_error', (error) => done(error.message)));
    assert.match(message, /^unauthorized: /);
  });

  test('an ended session is disconnected long before a ping could do it, also where nothing happens', async () => {
    const token = await shop.buyer();
    const socket = shop.socket(newest, { token }, { reconnection: false });
    await connected(socket);
    const gone = new Promise((done) => socket.on('disconnect', done));
    await shop.post('/auth/logout', {}, token);
    await gone;
    // The bound on time is the timeout of the wait: without the logout the socket would stay.
    assert.equal((await waitForEvent(socket, 'session:over')).code, 'unauthorized');
  });
});

describe('long polling by hand', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--request-timeout', '1s'); });
  after(() => shop.stop());

  const polling = async (auth) => {
    const base = `${shop.url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(base)).text()).slice(1));
    const path = `${base}&sid=${sid}`;
    const say = async (text) => assert.equal((await fetch(path, { method: 'POST', body: text })).status, 200);
    const listen = async () => (await (await fetch(path)).text()).split('\u001e');
    await say(`40${JSON.stringify(auth)}`);
    return { path, say, listen };
  };

  test('a late poll, after a full queue of counters, still returns whose turn it is', async () => {
    const noise = await Promise.all(Array.from({ length: 8 }, () => shop.sale({ quantity: 1 })));
    const sale = await shop.sale({ quantity: 1, admission: { type: 'fifo', perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 600 } }, 3);
    const token = await shop.buyer();
    const { say, listen } = await polling({ token });
    await shop.post('/queue/join', { flashSaleId: sale }, token);
    await say(noise.map((id) => `42["inventory:watch",{"flashSaleId":"${id}"}]`).join('\u001e'));
    // More happens without a poll than the queue holds.
    for (let round = 0; round < 200 && (await shop.metric('socket_updates_dropped_total')) === 0; round += 1) {
      for (const id of noise) await shop.post(`/admin/flash-sales/${id}/${round % 2 === 0 ? 'pause' : 'resume'}`);
    }
    await waitUntil('it is their turn', async () => (await shop.post(`/queue/position?flashSaleId=${sale}`, undefined, token, 'GET')).status === 'admitted');
    assert.ok((await shop.metric('socket_updates_dropped_total')) > 0, 'the queue was full');
    const messages = [];
    await waitUntil('a poll returns it', async () => {
      messages.push(...await listen());
      return messages.some((text) => text.startsWith('42["queue:position-update"') && text.includes('"status":"admitted"'));
    });
  });

  test('a body that trickles in ends with the request timeout', async () => {
    const { path } = await polling({});
    const { hostname, port, pathname, search } = new URL(path);
    const tcp = connect(Number(port), hostname);
    tcp.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 1000\r\n\r\n4`);
    const trickle = setInterval(() => tcp.writable && tcp.write('2'), 100);
    tcp.on('error', () => {});
    let reply = '';
    tcp.on('data', (bytes) => { reply += bytes; });
    await waitUntil('the reply is a timeout', () => reply.includes('"code":"timeout"'));
    clearInterval(trickle);
    tcp.destroy();
  });
});

describe('a bad connection', () => {
  let shop, proxy;
  before(async () => {
    shop = await Shop.start('--limits', 'off', '--socket-ping-interval', '2s', '--socket-ping-timeout', '20s');
    proxy = await TcpProxy.to(shop.url);
  });
  after(async () => {
    await shop.stop();
    proxy.stop();
  });

  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    test(`that is cut every two seconds costs no buyer the place in line (${transports.join(' then ')})`, async () => {
      const sale = await shop.sale({ quantity: 1, admission: { type: 'fifo', perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 600 } }, 300);
      const ahead = [];
      for (let n = 0; n < 6; n += 1) {
        ahead.push(await shop.buyer());
        await shop.post('/queue/join', { flashSaleId: sale }, ahead[n]);
      }
      const socket = shop.socket(newest, { token: await shop.buyer() }, { transports, url: proxy.url });
      // As a page does, it watches again each time it is connected.
      socket.on('connect', () => socket.emit('inventory:watch', { flashSaleId: sale }, () => {}));
      await connected(socket);
      assert.equal((await request(socket, 'queue:join', { flashSaleId: sale })).position, 7);
      for (let cuts = 1; cuts <= 4; cuts += 1) {
        await pause(2_000);
        proxy.cut();
        await waitUntil('it is noticed', () => !socket.connected);
        socket.received.length = 0;
        // A buyer ahead leaves while this one is disconnected.
        await shop.post(`/queue/leave?flashSaleId=${sale}`, undefined, ahead[cuts], 'DELETE');
        proxy.heal();
        await connected(socket);
        const place = await waitForEvent(socket, 'queue:position-update');
        assert.deepEqual([place.ticket, place.position, place.status], [7, 7 - cuts, 'waiting']);
        assert.equal((await waitForEvent(socket, 'inventory:update')).waiting, 7 - cuts);
      }
      await shop.post(`/queue/leave?flashSaleId=${sale}`, undefined, ahead[0], 'DELETE');
      await waitForEvent(socket, 'queue:position-update', (update) => update.position === 2);
      // The server learns that a poll was lost only when a ping is not answered.
      await waitUntil('the cut sockets are closed', async () => (await shop.metric('sockets_open')) === 1);
      socket.disconnect();
      await waitUntil('it is gone', async () => (await shop.metric('sockets_open')) === 0);
    });
  }
});

test('requests in the moment of connecting are answered, by hundreds at once', async () => {
  const shop = await Shop.start('--limits', 'off');
  try {
    const sale = await shop.sale({ quantity: 3, payment: 'none' });
    const sockets = Array.from({ length: 300 }, () => shop.socket(newest, undefined, { transports: ['websocket'] }));
    // The client keeps each and sends it together with its connect packet. They are more than one group of watchers.
    const answers = await Promise.all(sockets.map((socket) => request(socket, 'inventory:watch', { flashSaleId: sale })));
    assert.ok(answers.every((answer) => answer.available === 3));
    await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, await shop.buyer());
    await Promise.all(sockets.map((socket) => waitForEvent(socket, 'inventory:update', (update) => update.sold === 1)));
  } finally {
    await shop.stop();
  }
});

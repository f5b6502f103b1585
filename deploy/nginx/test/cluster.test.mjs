// The promises of cluster.conf, with a real nginx in front of three servers that reply with their names, which Doorbuster never
// does. Live updates of a real Doorbuster behind nginx are tested in crates/server/tests/sockets.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { HANG_LIMIT_MS, Instance, Nginx } from './harness.mjs';

/** nginx in front of three instances, with changes of cluster.conf. */
function startCluster(instances, changes = []) {
  return Nginx.start(['cluster.conf', 'doorbuster-instances.conf'], (nginx) => {
    nginx.change('cluster.conf', 'listen 80 ', `listen 127.0.0.1:${nginx.port} `);
    for (const [from, to] of changes) nginx.change('cluster.conf', from, to);
    instances.forEach(({ port }, index) => nginx.change('doorbuster-instances.conf', `127.0.0.1:808${index + 1} `, `127.0.0.1:${port} `));
  });
}

const clients = Array.from({ length: 30 }, (_, index) => `client ${index}`);

describe('the feed of a line behind nginx', () => {
  const FEED = '/api/v1/flash-sales/lamp/line-feed';
  const WAITERS = 40;
  const POLLS = 50;
  let instances, nginx;
  before(async () => {
    instances = await Promise.all(['one', 'two', 'three'].map((name) => Instance.start(name)));
    nginx = await startCluster(instances);
  });
  after(async () => {
    await nginx?.stop();
    await Promise.all(instances.map((instance) => instance.stop()));
  });
  const count = (path) => instances.flatMap(({ requests }) => requests).filter(({ url }) => url === path).length;

  test('however many poll, the instances get a request a second for each sale', async () => {
    const paths = [FEED, FEED.replace('lamp', 'chair'), FEED.replace('lamp', 'unknown')];
    const started = performance.now();
    const waiter = async (_, index) => {
      const path = paths[index % paths.length];
      for (let poll = 0; poll < POLLS; poll += 1) {
        const { status, headers, text } = await nginx.send('GET', path, index % 2 ? { 'If-None-Match': 'W/"7-active"' } : {});
        if (index % 2 && status === 304) continue;
        assert.deepEqual([status, text, headers['cache-control']], [path.includes('unknown') ? 404 : 200, `line of ${path}`, 'public, max-age=1']);
        assert.equal(headers['x-request-id'], undefined, 'an id of one request is not that of another');
      }
    };
    await Promise.all(Array.from({ length: WAITERS }, waiter));
    // A document is kept for a second at least, so no more can be asked for than seconds have begun.
    const asked = 1 + Math.ceil((performance.now() - started) / 1_000);
    for (const path of paths) assert.ok(count(path) >= 1 && count(path) <= asked, `${path}: ${count(path)} requests for ${(WAITERS / 3) * POLLS} polls`);
  });

  test('while one document is on its way, nobody else asks for it', async () => {
    const path = FEED.replace('lamp', 'sofa');
    for (const instance of instances) Object.assign(instance, { isSlow: true, waiting: [] });
    const polls = Array.from({ length: 20 }, () => nginx.send('GET', path));
    const waiting = () => instances.flatMap((instance) => instance.waiting);
    for (const deadline = Date.now() + HANG_LIMIT_MS; waiting().length < 1;) {
      assert.ok(Date.now() < deadline, 'a request waits');
      await new Promise((again) => setTimeout(again, 10));
    }
    // Time for the others to come, were they let through.
    for (let round = 0; round < 10; round += 1) await nginx.send('GET', '/livez');
    assert.equal(count(path), 1);
    for (const instance of instances) instance.isSlow = false;
    for (const reply of waiting()) reply.end();
    for (const { status, text } of await Promise.all(polls)) assert.deepEqual([status, text], [200, `line of ${path}`]);
  });

  test('without an instance the last document stays', async () => {
    const path = FEED.replace('lamp', 'desk');
    assert.equal((await nginx.send('GET', path)).status, 200);
    for (const instance of instances) instance.hangsUp = true;
    // Longer than the document is good for.
    await new Promise((done) => setTimeout(done, 2_100));
    const { status, text } = await nginx.send('GET', path);
    assert.deepEqual([status, text], [200, `line of ${path}`]);
    for (const instance of instances) instance.hangsUp = false;
  });

  test('a page of another site gets a document of its own', async () => {
    const path = FEED.replace('lamp', 'shelf');
    await nginx.send('GET', path, { Origin: 'https://one.example' });
    await nginx.send('GET', path);
    const asked = instances.flatMap(({ requests }) => requests).filter(({ url }) => url === path).map(({ headers }) => headers.origin ?? 'none');
    assert.deepEqual(asked.sort(), ['https://one.example', 'none']);
  });
});

describe('three instances behind nginx', () => {
  let instances, nginx;
  before(async () => {
    instances = await Promise.all(['one', 'two', 'three'].map((name) => Instance.start(name)));
    nginx = await startCluster(instances);
  });
  after(async () => {
    await nginx?.stop();
    await Promise.all(instances.map((instance) => instance.stop()));
  });

  test('requests go to the instances in turn', async () => {
    const names = [];
    for (let round = 0; round < 9; round += 1) names.push((await nginx.send('GET', '/api/v1/flash-sales')).text);
    for (const { name } of instances) assert.equal(names.filter((given) => given === name).length, 3, names.join(' '));
  });

  test('all polls of a client reach one instance, and clients are spread', async () => {
    const first = await Promise.all(clients.map((client) => nginx.poll(client)));
    const next = await Promise.all(clients.map((client, index) => nginx.poll(client, `&sid=s${index}`)));
    const posted = await Promise.all(clients.map((client, index) => nginx.send('POST', `/socket.io/?EIO=4&transport=polling&sid=s${index}`, { 'User-Agent': client }, '40')));
    assert.deepEqual(next.map(({ text }) => text), first.map(({ text }) => text));
    assert.deepEqual(posted.map(({ text }) => text), first.map(({ text }) => text));
    assert.equal(new Set(first.map(({ text }) => text)).size, 3);
  });

  test('an upgraded session stays at the instance that it polled', async () => {
    for (const client of clients.slice(0, 10)) {
      const { text } = await nginx.poll(client);
      const { status, instance } = await nginx.upgrade(client, '&sid=s');
      assert.deepEqual({ status, instance }, { status: 101, instance: text });
    }
  });

  test('sockets that begin as such are spread, also those of one client', async () => {
    const taken = await Promise.all(clients.map(() => nginx.upgrade('one client')));
    assert.deepEqual(new Set(taken.map(({ status }) => status)), new Set([101]));
    assert.equal(new Set(taken.map(({ instance }) => instance)).size, 3);
  });

  test('an instance gets the address and host of the client', async () => {
    for (const path of ['/api/v1/flash-sales', '/socket.io/?EIO=4&transport=polling']) {
      const { text } = await nginx.send('GET', path, { 'X-Forwarded-For': '203.0.113.7', Host: 'shop.example' });
      const { headers } = instances.find(({ name }) => name === text).requests.at(-1);
      assert.equal(headers['x-forwarded-for'], '203.0.113.7, 127.0.0.1');
      assert.equal(headers.host, 'shop.example');
    }
  });

  test('a purchase that an instance has seen is never sent to another', async () => {
    for (const instance of instances) Object.assign(instance, { requests: [], hangsUp: true });
    const { status, headers, text } = await nginx.send('POST', '/api/v1/orders', { 'Content-Type': 'application/json' }, '{}');
    assert.equal(instances.reduce((sum, { requests }) => sum + requests.length, 0), 1);
    assert.equal(status, 503);
    assert.equal(headers['retry-after'], '1');
    assert.equal(headers['content-type'], 'application/problem+json');
    assert.equal(JSON.parse(text).code, 'unavailable');
    for (const instance of instances) instance.hangsUp = false;
  });

  test('a request that changes nothing is sent to another instance', async () => {
    for (const instance of instances) Object.assign(instance, { requests: [], hangsUp: instance.name !== 'three' });
    for (let round = 0; round < 6; round += 1) assert.equal((await nginx.send('GET', '/api/v1/flash-sales')).text, 'three');
    for (const instance of instances) instance.hangsUp = false;
  });

  test('every request is answered while an instance is away, and it is used again once it is back', async () => {
    const [one] = instances;
    await one.stop();
    for (let round = 0; round < 30; round += 1) {
      assert.equal((await nginx.send('POST', '/api/v1/orders', {}, '{}')).status, 200);
      assert.equal((await nginx.poll(clients[round])).status, 200);
    }
    instances[0] = await Instance.restart(one);
    const deadline = Date.now() + HANG_LIMIT_MS;
    while ((await nginx.send('GET', '/api/v1/flash-sales')).text !== 'one') assert.ok(Date.now() < deadline, 'it is used again');
  });

  test('without an instance the reply is a problem, at once', async () => {
    await Promise.all(instances.map((instance) => instance.stop()));
    for (const path of ['/api/v1/flash-sales', '/socket.io/?EIO=4&transport=polling']) {
      const started = Date.now();
      const { status, headers, text } = await nginx.send('GET', path);
      assert.ok(Date.now() - started < 20_000, 'no timeout is waited for');
      assert.equal(status, 503);
      assert.equal(headers['retry-after'], '1');
      assert.equal(JSON.parse(text).code, 'unavailable');
    }
  });
});

describe('limits of a network', () => {
  // Behind another proxy, so that a test can come from any address.
  const behindProxy = ['upstream doorbuster {', 'set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; upstream doorbuster {'];
  const from = (address) => ({ 'X-Forwarded-For': address });
  let instances, nginx;
  const start = async (...changes) => {
    instances = await Promise.all(['one', 'two', 'three'].map((name) => Instance.start(name)));
    nginx = await startCluster(instances, [behindProxy, ...changes]);
  };
  afterEach(async () => {
    await nginx?.stop();
    await Promise.all(instances.map((instance) => instance.stop()));
  });

  test('a company that comes to a drop from one address is served', async () => {
    await start();
    const burst = Array.from({ length: 100 }, async () => {
      const statuses = [];
      for (let round = 0; round < 30; round += 1) statuses.push((await nginx.send('GET', '/api/v1/flash-sales', from('203.0.113.7'))).status);
      return statuses;
    });
    assert.deepEqual(new Set((await Promise.all(burst)).flat()), new Set([200]));
  });

  test('too many requests of one /64 are refused as the API refuses them, and probes are answered', async () => {
    // One comes back each minute: none while the test runs.
    await start(['rate=2000r/s', 'rate=1r/m'], ['burst=20000', 'burst=4']);
    for (let host = 1; host <= 5; host += 1) assert.equal((await nginx.send('GET', '/', from(`2001:db8:0:1::${host}`))).status, 200);
    const { status, headers, text } = await nginx.send('GET', '/', from('2001:db8:0:1:ffff::6'));
    assert.deepEqual([status, headers['retry-after'], headers['content-type']], [429, '1', 'application/problem+json']);
    assert.equal(JSON.parse(text).code, 'rate_limited');
    assert.equal((await nginx.send('GET', '/livez', from('2001:db8:0:1::1'))).status, 200, 'probes have no limit');
    assert.equal((await nginx.send('GET', '/', from('2001:db8:0:2::1'))).status, 200, 'another customer');
    for (let round = 0; round < 10; round += 1) assert.equal((await nginx.send('GET', '/')).status, 200, 'this machine has no limit');
  });

  test('too many connections of one address are refused, and others go on', async () => {
    await start(['limit_conn doorbuster_connections 4000', 'limit_conn doorbuster_connections 2']);
    const held = [1, 2].map(() => nginx.send('GET', '/waits', from('203.0.113.7')));
    const waiting = () => instances.flatMap((instance) => instance.waiting);
    for (const deadline = Date.now() + HANG_LIMIT_MS; waiting().length < 2;) {
      assert.ok(Date.now() < deadline, 'two requests wait');
      await new Promise((again) => setTimeout(again, 10));
    }
    const { status, headers, text } = await nginx.send('GET', '/', from('203.0.113.7'));
    assert.deepEqual([status, headers['retry-after']], [503, '1']);
    assert.equal(JSON.parse(text).code, 'overloaded');
    assert.equal((await nginx.send('GET', '/livez', from('203.0.113.7'))).status, 200);
    assert.equal((await nginx.send('GET', '/', from('203.0.113.8'))).status, 200);
    for (const reply of waiting()) reply.end('done');
    assert.deepEqual((await Promise.all(held)).map(({ text }) => text), ['done', 'done']);
    assert.equal((await nginx.send('GET', '/', from('203.0.113.7'))).status, 200);
  });
});

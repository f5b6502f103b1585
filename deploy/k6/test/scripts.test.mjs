// The load scripts against a real Doorbuster: they buy what they report. With K6=FILE in the environment that k6 runs them,
// else the stand-in beside this file. Run by scripts/k6.sh.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Doorbuster } from './doorbuster.mjs';
import { HoldsServer } from './holds.mjs';

const run = promisify(execFile);
const here = (path) => new URL(path, import.meta.url).pathname;
const K6 = process.env.K6 ? [process.env.K6] : [process.execPath, here('standin/main.mjs')];
/** Exit codes of k6. */
const DONE = 0;
const THRESHOLDS = 99;
/** A debug build beside a test run is slow; how slow is not what is tested here. */
const SLOW = { P95_MS: '20000' };

let shop;
before(async () => {
  shop = await Doorbuster.start('--limit-auth', '1000/15m');
});
after(() => shop.stop());

/** Runs a script. Returns its exit code, its output, and its metrics. */
async function play(script, settings, base = shop.url) {
  const out = join(shop.folder, `${script}-${Math.random()}.json`);
  const pairs = Object.entries({ BASE_URL: base, ...settings }).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  const [program, ...args] = [...K6, 'run', '--quiet', '--out', `json=${out}`, ...pairs, here(`../${script}`)];
  const result = await run(program, args, { timeout: 120_000 }).catch((failure) => failure);
  const lines = (existsSync(out) ? readFileSync(out, 'utf8') : '').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const points = lines.filter((line) => line.type === 'Point');
  const of = (metric) => points.filter((point) => point.metric === metric);
  return {
    exit: result.code ?? DONE,
    text: `${result.stdout}\n${result.stderr}`,
    count: (metric) => of(metric).reduce((sum, point) => sum + point.data.value, 0),
    failedChecks: () => of('checks').filter((point) => point.data.value !== 1).map((point) => point.data.tags.check),
    requests: (name) => of('http_reqs').filter((point) => point.data.tags.name === name).length,
  };
}

/** A file with tokens, made as the README says. */
async function tokens(count) {
  const { stdout } = await run(here('../tokens.sh'), [String(count), shop.url]);
  assert.equal(stdout.trim().split('\n').length, count);
  const path = join(shop.folder, `tokens-${count}`);
  writeFileSync(path, stdout);
  return path;
}

test('buyers go through the line to a paid order, and the others learn that it is sold out', async () => {
  const admission = { type: 'fifo', perSecond: 50, checkoutSeconds: 60, lineOpensSecondsBefore: 60 };
  const sale = await shop.sale({ slug: 'line', quantity: 5, admission }, 2);
  const played = await play('flow.js', { SALE: 'line', BUYERS: 12, POLL_S: 0.2, ...SLOW });
  assert.equal(played.exit, DONE, played.text);
  assert.deepEqual(played.failedChecks(), []);
  assert.equal(played.count('buyer_confirmed'), 5);
  assert.equal(played.count('buyer_sold_out'), 7);
  assert.equal(played.requests('register'), 12);
  assert.equal(played.requests('pay'), 5);
  assert.equal((await shop.readSale(sale.id)).sold, 5);
});

test('buyers with tokens wait for the start of an open sale, and one in ten sends twice', async () => {
  const sale = await shop.sale({ quantity: 30 }, 3);
  const played = await play('flow.js', { SALE: sale.id, TOKENS: await tokens(11), VUS: 6, ...SLOW });
  assert.equal(played.exit, DONE, played.text);
  assert.equal(played.count('buyer_confirmed'), 11);
  assert.equal(played.requests('order again'), 2);
  assert.equal(played.requests('register'), 0);
  assert.equal((await shop.readSale(sale.id)).sold, 11);
});

test('a run without a payment crosses a threshold and gives the units back', async () => {
  const sale = await shop.sale({ quantity: 3 });
  const played = await play('flow.js', { SALE: sale.id, BUYERS: 2, METHOD: 'sandbox:decline', ...SLOW });
  assert.equal(played.exit, THRESHOLDS, played.text);
  assert.equal(played.count('buyer_payment_declined'), 2);
  assert.equal((await shop.readSale(sale.id)).available, 3);
});

test('the spike sells every unit once and counts each refusal by its code', async () => {
  const sale = await shop.sale({ quantity: 20, payment: 'none', limitPerBuyer: 100 });
  const settings = { SALE: sale.id, BUYERS: 10, RATE: 10, RAMP_S: 1, HOLD_S: 2, VUS: 30, ...SLOW };
  const played = await play('spike.js', settings);
  assert.equal(played.exit, DONE, played.text);
  assert.deepEqual(played.failedChecks(), []);
  assert.equal(played.count('answer_confirmed'), 20);
  assert.equal(played.count('answer_sold_out'), played.requests('order') - 20);
  assert.ok(played.requests('order') > 20, played.text);
  assert.equal((await shop.readSale(sale.id)).sold, 20);
});

test('the spike of buyers with a limit is refused by that limit', async () => {
  const sale = await shop.sale({ quantity: 1000, payment: 'none' });
  const settings = { SALE: sale.id, TOKENS: await tokens(4), RATE: 8, RAMP_S: 1, HOLD_S: 1, VUS: 16, ...SLOW };
  const played = await play('spike.js', settings);
  assert.equal(played.exit, DONE, played.text);
  assert.equal(played.count('answer_confirmed'), 4);
  assert.equal(played.count('answer_limit_reached'), played.requests('order') - 4);
});

test('users of the dialect holds wait for a hold and confirm, each with an address of its own', async () => {
  const holds = await HoldsServer.start({ units: 15, holds: 3 });
  try {
    const settings = { SALE: 'sale-1', STAGES: '1s:4,2s:6,1s:0', POLL_S: 0.05, ...SLOW };
    const played = await play('holds.js', settings, holds.url);
    assert.deepEqual(holds.faults, []);
    // The first tries of the calls that were answered 503 are failed requests; everything else is as it should be.
    assert.match(played.text, /http_req_failed/);
    assert.deepEqual(played.failedChecks(), []);
    assert.equal(played.count('buyer_confirmed'), 15, played.text);
    assert.equal(holds.orders.size, 15);
    assert.ok(played.count('buyer_sold_out') > 0, played.text);
    assert.ok(played.requests('position') >= 15);
  } finally {
    await holds.stop();
  }
});

test('an invalid plan is refused with one sentence', async () => {
  const refused = async (script, settings, sentence) => {
    const played = await play(script, settings);
    assert.notEqual(played.exit, DONE);
    assert.match(played.text, sentence);
  };
  await refused('flow.js', {}, /say which sale/);
  // k6 writes the message into its log, with escaped quotes.
  await refused('flow.js', { SALE: 'nowhere' }, /there is no sale \\?"nowhere/);
  await refused('flow.js', { SALE: 'line', TOKENS: await tokens(2), BUYERS: 3 }, /TOKENS has 2/);
  await refused('spike.js', { SALE: 'line' }, /this sale has a line/);
  await refused('holds.js', { SALE: 'line', STAGES: 'soon' }, /STAGES is a list/);
  await refused('holds.js', {}, /say which sale/);
  const unreachable = await play('flow.js', { SALE: 'line' }, 'http://127.0.0.1:9');
  assert.match(unreachable.text, /no server answers at/);
});

test('tight limits are distinguished from a slow server', async () => {
  const tight = await Doorbuster.start('--limit-auth', '3/15m');
  try {
    const sale = await tight.sale({ quantity: 5 });
    const played = await play('flow.js', { SALE: sale.id, BUYERS: 6, VUS: 1, ...SLOW }, tight.url);
    assert.match(played.text, /no more accounts for this address/);
  } finally {
    await tight.stop();
  }
});

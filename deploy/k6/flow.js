// Buyers who go the whole way: account → line → turn → order → payment → a confirmed order. One iteration is one buyer.
//   k6 run -e SALE=demo -e BUYERS=150 deploy/k6/flow.js          (all settings are in README.md)

import { check, sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Trend } from 'k6/metrics';
import { call, callUntilAnswered, code, counters, end, findSale, number, registered, registration, tokens } from './lib/doorbuster.js';

const BUYERS = number('BUYERS', tokens.length || 50);
const WAIT_S = number('WAIT_S', 600);
const POLL_S = number('POLL_S', 1);
const QUANTITY = number('QUANTITY', 1);
const METHOD = __ENV.METHOD || 'sandbox:approve';
const P95_MS = number('P95_MS', 500);
/** Every so many buyers one sends his order twice, as someone on a bad line does. */
const TWICE = 10;

export const options = {
  scenarios: {
    buyers: {
      executor: 'shared-iterations',
      vus: Math.min(number('VUS', BUYERS), BUYERS),
      iterations: BUYERS,
      maxDuration: `${WAIT_S + 300}s`,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate<0.01'],
    'http_req_duration{name:order}': [`p(95)<${P95_MS}`],
    'http_req_duration{name:position}': [`p(95)<${P95_MS}`],
    // A run without a purchase has shown nothing.
    buyer_confirmed: ['count>0'],
  },
};

// How a buyer's day ended: with an order, or with the reason why not.
const ended = counters('buyer', [
  'confirmed', 'sold_out', 'all_held', 'limit_reached', 'ended', 'closed', 'paused', 'not_started', 'no_line', 'not_in_line',
  'not_admitted', 'lapsed', 'left', 'fewer_left', 'payment_declined', 'payment_unknown', 'order_expired', 'rate_limited', 'gave_up', 'no_reply',
]);
const turnMs = new Trend('wait_for_turn', true);
const wholeMs = new Trend('whole_purchase', true);

export function setup() {
  if (tokens.length > 0 && tokens.length < BUYERS) end(`BUYERS is ${BUYERS}, and TOKENS has ${tokens.length}`);
  const sale = findSale(__ENV.SALE);
  if (sale.status === 'ended' || sale.status === 'closed') end(`the sale is ${sale.status}`);
  // Keys and names of this run; the clock makes them unique.
  return { run: Date.now().toString(36), sale: sale.id, line: sale.admission.type === 'fifo' };
}

export default function buyer({ run, sale, line }) {
  const n = exec.scenario.iterationInTest;
  const me = { token: tokens[n] || makeAccount(run, n), key: `${run}-${n}`, n };
  const began = Date.now();
  const outcome = (line ? stand(me, sale) : waitForStart(me, sale)) || purchase(me, sale, line);
  if (outcome === 'confirmed') wholeMs.add(Date.now() - began);
  ended(outcome);
}

export function teardown({ sale }) {
  const { quantity, available, held, sold } = findSale(sale);
  check(null, { 'no unit was sold twice': () => sold + held + available <= quantity });
  console.log(`sold ${sold}, in carts ${held}, left ${available}, of ${quantity}`);
}

function makeAccount(run, n) {
  const { method, url, body, params } = registration(run, n);
  return registered(http.request(method, url, body, params));
}

/** Joins the line and waits. Returns why the buyer was not admitted, or nothing after an admission. */
function stand(me, sale) {
  const joined = callUntilAnswered('join', 'POST', '/queue/join', { token: me.token, body: { flashSaleId: sale } });
  if (joined.status !== 201 && joined.status !== 200) return code(joined);
  check(joined, { 'a place has a number and a receipt': (r) => r.json('ticket') > 0 && Boolean(r.json('receipt')) });
  const began = Date.now();
  for (let look = 1; Date.now() - began < WAIT_S * 1000; look += 1) {
    const place = call('position', 'GET', `/queue/position?flashSaleId=${sale}`, { token: me.token });
    if (code(place) === 'admitted') {
      turnMs.add(Date.now() - began);
      return null;
    }
    if (code(place) === 'over') return whyOver(sale) || 'ended';
    if (code(place) === 'lapsed' || code(place) === 'left') return code(place);
    if (place.status === 404 || look % 5 === 0) {
      const over = whyOver(sale);
      if (over || place.status === 404) return over || code(place);
    }
    sleep(unevenly(POLL_S));
  }
  return 'gave_up';
}

/** Without a line one waits for the start alone, by the server's clock. */
function waitForStart(me, sale) {
  const began = Date.now();
  while (Date.now() - began < WAIT_S * 1000) {
    const { status, startsAt, serverTime } = findSale(sale);
    if (status !== 'upcoming') return null;
    const left_s = (Date.parse(startsAt) - Date.parse(serverTime)) / 1000;
    sleep(Math.min(Math.max(left_s, 0.05), 30));
  }
  return 'gave_up';
}

/** Why the sale admits no more buyers; null while it does. */
function whyOver(sale) {
  const { status, availability } = findSale(sale);
  if (status === 'ended' || status === 'closed') return status;
  return availability === 'sold_out' ? 'sold_out' : null;
}

function purchase(me, sale, admitted) {
  const asked = { token: me.token, key: me.key, body: { flashSaleId: sale, quantity: QUANTITY } };
  const order = callUntilAnswered('order', 'POST', '/orders', asked);
  // The promise of a line: an admitted buyer has a reserved unit.
  if (admitted && QUANTITY === 1) check(order, { 'an admitted buyer got a unit': (r) => r.status === 201 });
  if (order.status !== 201) return code(order);
  const id = order.json('id');
  if (me.n % TWICE === 0) {
    const again = callUntilAnswered('order again', 'POST', '/orders', asked);
    check(again, { 'the same key is the same order': (r) => r.json('id') === id });
  }
  if (order.json('status') === 'pending') {
    const paying = { token: me.token, key: `${me.key}-pay`, body: { method: METHOD } };
    const paid = callUntilAnswered('pay', 'POST', `/orders/${id}/pay`, paying);
    if (paid.status !== 200) {
      // A declined card leaves the hold for another card; this buyer has none.
      if (paid.status === 402) call('give back', 'DELETE', `/orders/${id}`, { token: me.token });
      return code(paid);
    }
  }
  const kept = callUntilAnswered('look', 'GET', `/orders/${id}`, { token: me.token });
  check(kept, { 'a paid order is confirmed': (r) => code(r) === 'confirmed' });
  return code(kept);
}

/** A fifth more or less, so that those who came together do not ask together for ever. */
function unevenly(seconds) {
  return seconds * (0.8 + 0.4 * Math.random());
}

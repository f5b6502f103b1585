// What the load scripts share: settings, calls to the API, and how an answer is read. It decides nothing about a load.

import { sleep } from 'k6';
import { SharedArray } from 'k6/data';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter } from 'k6/metrics';

const SERVER = (__ENV.BASE_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');
const PASSWORD = 'only for a load test';
/** Seconds between two tries of a request that was not answered for good. */
const PAUSE_S = 1;
const TRIES_MAX = 10;

/** A number from the environment. */
export function number(name, otherwise) {
  const text = __ENV[name];
  if (text === undefined || text === '') return otherwise;
  const value = Number(text);
  if (!(value >= 0)) throw new Error(`${name} is to be a number, not "${text}"`);
  return value;
}

/** Access tokens from the file TOKENS, one a line; none without that setting. A path is relative to where k6 is called. */
export const tokens = new SharedArray('tokens', () => {
  const path = __ENV.TOKENS;
  if (!path) return [];
  const lines = open(path[0] === '/' ? path : `${__ENV.PWD}/${path}`).split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '');
});

// A refusal is an answer: it is counted by its code, and is no failed request.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 399 }, 402, 403, 404, 409, 410, 425));

/** A request. Its name is what k6 groups its figures by, so it has no ids in it. */
export function request(name, method, path, { token, body, key } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  const text = body ? JSON.stringify(body) : null;
  return { method, url: `${SERVER}/api/v1${path}`, body: text, params: { headers, tags: { name }, timeout: '40s' } };
}

export function call(name, method, path, options) {
  const { url, body, params } = request(name, method, path, options);
  return http.request(method, url, body, params);
}

/** Repeats a call that was not answered for good, after the time that the server asks for. With its key it counts once. */
export function callUntilAnswered(name, method, path, options) {
  let reply = call(name, method, path, options);
  for (let tries = 1; tries < TRIES_MAX && !isAnswered(reply); tries += 1) {
    const asked = Number(reply.headers['Retry-After']);
    sleep(asked > 0 ? Math.min(asked, 30) : PAUSE_S);
    reply = call(name, method, path, options);
  }
  return reply;
}

function isAnswered(reply) {
  const again = [0, 429, 503, 504].includes(reply.status);
  return !again && code(reply) !== 'request_in_flight';
}

/** What an answer says in one word: the code of a problem, or the status of a document. */
export function code(reply) {
  if (reply.status === 0) return 'no_reply';
  if (reply.status === 304 || reply.body === null || reply.body === '') return `http_${reply.status}`;
  try {
    return reply.json(reply.status < 400 ? 'status' : 'code') || `http_${reply.status}`;
  } catch (_notJson) {
    return `http_${reply.status}`;
  }
}

/** A counter for each word, so that k6's summary has a line for each that came. Any other word is counted as `other`. */
export function counters(prefix, words) {
  const all = {};
  for (const word of words.concat('other')) all[word] = new Counter(`${prefix}_${word}`);
  return (word) => (all[word] || all.other).add(1);
}

/** The sale, by its id or slug; ends the run when there is none. */
export function findSale(which) {
  if (!which) end('say which sale: -e SALE=its id or slug');
  const reply = callUntilAnswered('sale', 'GET', `/flash-sales/${which}`);
  if (reply.status === 0) end(`no server answers at ${SERVER}: ${reply.error}`);
  if (reply.status !== 200) end(`there is no sale "${which}" at ${SERVER}: ${reply.status} ${code(reply)}`);
  return reply.json();
}

/** What is sent to make an account for a simulated buyer. */
export function registration(run, n) {
  const username = `k6-${run}-${n}`;
  const body = { email: `${username}@example.com`, username, password: PASSWORD };
  return request('register', 'POST', '/auth/register', { body });
}

/** The token out of the answer; ends the run when the server lets no more accounts be made from this address. */
export function registered(reply) {
  if (reply.status === 201) return reply.json('accessToken');
  if (reply.status === 429) {
    end(
      'the server makes no more accounts for this address (100 in 15 minutes, unless it is set otherwise): ' +
        'give -e TOKENS=FILE (see tokens.sh), or start the server with --limit-auth 1000000/15m',
    );
  }
  return end(`no account could be made: ${reply.status} ${code(reply)}`);
}

/** Ends the whole run with one sentence. */
export function end(sentence) {
  exec.test.abort(sentence);
  throw new Error(sentence);
}

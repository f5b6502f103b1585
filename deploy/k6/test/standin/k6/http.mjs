// The module `k6/http`: a request blocks its user until the reply is there.

import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { sample, state } from './state.mjs';

const { port, signal } = workerData;
let sent = 0;
let expected = () => true;

class Response {
  constructor({ status, body, headers, error, duration }) {
    Object.assign(this, { status, body, error, timings: { duration } });
    this.headers = Object.fromEntries(Object.entries(headers).map(([name, value]) => [canonical(name), String(value)]));
  }

  json(selector) {
    const document = JSON.parse(this.body);
    return selector ? selector.split('.').reduce((inner, name) => inner?.[name], document) : document;
  }
}

/** As Go writes header names, and so k6: `ETag` is `Etag`. */
function canonical(name) {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (letters) => letters.toUpperCase());
}

function batch(requests) {
  if (state.init) throw new Error('requests are not sent while a script is being loaded');
  const from = sent;
  for (const { method, url, body, params } of requests) {
    const headers = { 'user-agent': 'k6-standin', ...params.headers };
    if (body) headers['content-length'] = Buffer.byteLength(body);
    const timeout_ms = Number(/^([0-9]+)s$/.exec(params.timeout)[1]) * 1000;
    port.postMessage({ id: sent, request: { method, url, body, headers, timeout_ms } });
    sent += 1;
  }
  const replies = [];
  for (let seen = Atomics.load(signal, 0); replies.filter(Boolean).length < requests.length; seen = Atomics.load(signal, 0)) {
    const received = receiveMessageOnPort(port)?.message;
    if (received) replies[received.id - from] = new Response(received.reply);
    else Atomics.wait(signal, 0, seen, 1000);
  }
  replies.forEach((reply, i) => note(requests[i], reply));
  return replies;
}

function note({ method, params }, reply) {
  const tags = { ...params.tags, method, status: String(reply.status) };
  sample('http_reqs', 'counter', 1, tags);
  sample('http_req_duration', 'trend', reply.timings.duration, tags);
  sample('http_req_failed', 'rate', expected(reply.status) ? 0 : 1, tags);
}

export default {
  batch,
  request: (method, url, body, params) => batch([{ method, url, body, params }])[0],
  setResponseCallback(callback) {
    expected = callback;
  },
  expectedStatuses(...ranges) {
    return (status) => ranges.some((range) => range === status || (status >= range.min && status <= range.max));
  },
};

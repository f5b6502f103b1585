// A simulated user as the others see it: a thread with its own copy of the script, as in k6.

import { MessageChannel, Worker } from 'node:worker_threads';

const HOOKS = new URL('register.mjs', import.meta.url).href;
const wire = new Worker(new URL('http.mjs', import.meta.url));

export class User {
  constructor(id, script, env, samples) {
    const { port1, port2 } = new MessageChannel();
    const signal = new Int32Array(new SharedArrayBuffer(4));
    wire.postMessage({ port: port1, signal }, [port1]);
    this.thread = new Worker(new URL('user.mjs', import.meta.url), {
      workerData: { id, script, env, port: port2, signal },
      transferList: [port2],
      execArgv: ['--no-warnings', '--import', HOOKS],
    });
    this.thread.on('error', (failure) => this.settle({ failure: { message: failure.stack } }));
    this.thread.on('message', (message) => {
      if (message.samples) samples.add(message.samples);
      if ('result' in message || message.failure) this.settle(message);
    });
    this.ready = this.next();
  }

  next() {
    return new Promise((done, failed) => {
      this.settle = ({ result, failure }) =>
        failure ? failed(Object.assign(new Error(failure.message), { aborted: failure.aborted })) : done(result);
    });
  }

  /** Runs an exported function of the script; each answers before the next one is asked for. */
  call(name, data, iteration) {
    const answered = this.next();
    this.thread.postMessage({ call: name, data, iteration });
    return answered;
  }
}

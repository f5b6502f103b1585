// The module `k6/execution`.

import { workerData } from 'node:worker_threads';
import { state } from './state.mjs';

export default {
  scenario: {
    get iterationInTest() {
      return state.iteration;
    },
  },
  vu: { idInTest: workerData.id },
  test: {
    abort(message) {
      throw Object.assign(new Error(`test aborted: ${message}`), { aborted: true });
    },
  },
};

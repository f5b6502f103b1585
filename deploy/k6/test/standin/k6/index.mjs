// The module `k6`.

import { sample } from './state.mjs';

export function check(value, sets) {
  let passed = true;
  for (const [name, holds] of Object.entries(sets)) {
    const ok = Boolean(holds(value));
    sample('checks', 'rate', ok ? 1 : 0, { check: name });
    passed = passed && ok;
  }
  return passed;
}

export function sleep(seconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}

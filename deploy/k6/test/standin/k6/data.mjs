// The module `k6/data`.

import { state } from './state.mjs';

export class SharedArray {
  constructor(_name, make) {
    if (!state.init) throw new Error('a SharedArray is made only while a script is being loaded');
    const items = make();
    if (!Array.isArray(items)) throw new Error('a SharedArray is made of an array');
    return Object.freeze(items.slice());
  }
}

// The module `k6/metrics`.

import { sample, state } from './state.mjs';

class Metric {
  constructor(name) {
    if (!state.init) throw new Error('metrics are made only while a script is being loaded');
    if (!/^[a-zA-Z_][a-zA-Z0-9_]{0,127}$/.test(name)) throw new Error(`not a name for a metric: ${name}`);
    this.name = name;
  }
}

export class Counter extends Metric {
  add(value, tags) {
    sample(this.name, 'counter', value, tags);
  }
}

export class Trend extends Metric {
  add(value, tags) {
    sample(this.name, 'trend', value, tags);
  }
}

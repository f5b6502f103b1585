// The samples of all users, and whether they keep the thresholds.

export class Samples {
  #all = [];
  #thresholds = {};

  /** The thresholds to be kept: by metric, `{tag:value}` being allowed behind its name. */
  expect(thresholds) {
    this.#thresholds = thresholds;
  }

  add(samples) {
    for (const sample of samples) this.#all.push(sample);
  }

  /** One JSON document a line, as `k6 run --out json=FILE` writes them. */
  lines() {
    const point = ({ metric, value, tags }) => JSON.stringify({ type: 'Point', metric, data: { value, tags } });
    return this.#all.map((sample) => `${point(sample)}\n`).join('');
  }

  /** The thresholds that are crossed, each with what was measured. */
  broken() {
    const crossed = [];
    for (const [selector, rules] of Object.entries(this.#thresholds)) {
      const of = this.#select(selector);
      for (const rule of rules) {
        const [, what, sign, limit] = /^([a-z]+(?:\([0-9.]+\))?)(<=|>=|==|<|>)([0-9.]+)$/.exec(rule) ?? [];
        if (what === undefined) throw new Error(`the stand-in cannot read the threshold ${rule}`);
        const measured = aggregate(of, what);
        // What was never measured crosses nothing, but for counts, which are zero then.
        if (measured !== null && !holds(measured, sign, Number(limit))) crossed.push(`${selector}: ${rule}, and it is ${measured}`);
      }
    }
    return crossed;
  }

  summary() {
    const metrics = [...new Set(this.#all.map((sample) => sample.metric))].sort();
    return metrics.map((metric) => `${metric}: ${summarise(this.#all.filter((one) => one.metric === metric))}`).join('\n');
  }

  #select(selector) {
    const [, metric, tag, value] = /^([a-z_]+)(?:\{([a-z_]+):(.+)\})?$/.exec(selector);
    return this.#all.filter((sample) => sample.metric === metric && (!tag || sample.tags[tag] === value));
  }
}

function summarise(samples) {
  if (samples[0].type === 'counter') return aggregate(samples, 'count');
  if (samples[0].type === 'rate') return `${(100 * aggregate(samples, 'rate')).toFixed(2)} % of ${samples.length}`;
  return `p(50)=${aggregate(samples, 'p(50)').toFixed(1)} p(95)=${aggregate(samples, 'p(95)').toFixed(1)} ms`;
}

function aggregate(samples, what) {
  const values = samples.map((sample) => sample.value);
  const sum = values.reduce((all, value) => all + value, 0);
  if (what === 'count') return sum;
  if (values.length === 0) return null;
  if (what === 'rate') return sum / values.length;
  const [, percent] = /^p\(([0-9.]+)\)$/.exec(what);
  values.sort((one, other) => one - other);
  return values[Math.min(values.length - 1, Math.floor((values.length * percent) / 100))];
}

function holds(measured, sign, limit) {
  return { '<': measured < limit, '>': measured > limit, '<=': measured <= limit, '>=': measured >= limit, '==': measured === limit }[sign];
}

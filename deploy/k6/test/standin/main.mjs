// A stand-in for k6, which runs the load scripts where k6 is not installed. It implements what these scripts use, and refuses all
// else. Its measurements mean nothing.
//   node main.mjs run [--quiet] [--out json=FILE] [-e NAME=VALUE]… SCRIPT

import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { play } from './executors.mjs';
import { Samples } from './samples.mjs';
import { User } from './users.mjs';

const EXIT_THRESHOLDS = 99;
const EXIT_SCRIPT = 107;
const EXIT_ABORTED = 108;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string' },
    quiet: { type: 'boolean' },
    env: { type: 'string', short: 'e', multiple: true, default: [] },
  },
});
if (positionals[0] !== 'run' || !positionals[1]) throw new Error('usage: main.mjs run [options] SCRIPT');
const script = resolve(positionals[1]);
const env = { ...process.env };
for (const pair of values.env) env[pair.slice(0, pair.indexOf('='))] = pair.slice(pair.indexOf('=') + 1);

const samples = new Samples();
process.exit(await main());

async function main() {
  const first = new User(0, script, env, samples);
  try {
    const options = await first.ready;
    samples.expect(options.thresholds);
    const data = await first.call('setup');
    for (const scenario of Object.values(options.scenarios)) {
      await play(scenario, data, samples, (id) => new User(id, script, env, samples));
    }
    await first.call('teardown', data);
  } catch (failure) {
    console.error(failure.message);
    return failure.aborted ? EXIT_ABORTED : EXIT_SCRIPT;
  } finally {
    if (values.out) writeFileSync(values.out.replace(/^json=/, ''), samples.lines());
  }
  const broken = samples.broken();
  if (!values.quiet) console.log(samples.summary());
  for (const threshold of broken) console.error(`threshold crossed: ${threshold}`);
  return broken.length > 0 ? EXIT_THRESHOLDS : 0;
}

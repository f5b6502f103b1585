// The thread of one simulated user: it has k6's globals, loads the script, and runs its functions on request.

import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { pathToFileURL } from 'node:url';
import { state, takeSamples } from './k6/state.mjs';

globalThis.__ENV = workerData.env;
globalThis.__VU = workerData.id;
globalThis.open = (path) => {
  if (!state.init) throw new Error('open() works only while a script is being loaded');
  return readFileSync(path, 'utf8');
};

const script = await import(pathToFileURL(workerData.script));
state.init = false;
parentPort.postMessage({ result: script.options });

parentPort.on('message', ({ call, data, iteration }) => {
  state.iteration = iteration;
  let answer;
  try {
    // In k6 data crosses from setup to the users as JSON; what does not survive that is lost there too.
    const result = script[call]?.(data);
    answer = { result: result === undefined ? null : JSON.parse(JSON.stringify(result)) };
  } catch (failure) {
    answer = { failure: { message: failure.aborted ? failure.message : failure.stack, aborted: failure.aborted } };
  }
  parentPort.postMessage({ ...answer, samples: takeSamples() });
});

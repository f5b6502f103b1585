// What the modules of one user share. `init` is true while the script is being loaded: some calls are allowed only then.

export const state = { init: true, iteration: undefined };

let samples = [];

export function sample(metric, type, value, tags = {}) {
  samples.push({ metric, type, value, tags });
}

export function takeSamples() {
  const taken = samples;
  samples = [];
  return taken;
}

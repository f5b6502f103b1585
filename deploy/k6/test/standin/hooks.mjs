// Resolves k6's modules to the ones here.

const MODULES = new URL('k6/', import.meta.url).href;

export function resolve(name, context, next) {
  const [, module] = /^k6(?:\/(http|metrics|execution|data))?$/.exec(name) ?? [null, null];
  if (name !== 'k6' && !module) return next(name, context);
  return { url: `${MODULES}${module ?? 'index'}.mjs`, shortCircuit: true };
}

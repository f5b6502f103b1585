// Loaded before a script, so that Node resolves modules by hooks.mjs.

import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);

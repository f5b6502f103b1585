// Loaded before a script is: from then on Node asks hooks.mjs where a module is.

import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);

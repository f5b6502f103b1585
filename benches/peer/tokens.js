// Prints access tokens as the peer's own sign-in would hand them out, one a line, each for another buyer.
//   node tokens.js --secret=TEXT --count=N

import { createSecretKey, randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import jwt from 'jsonwebtoken';

const { values } = parseArgs({ options: { secret: { type: 'string' }, count: { type: 'string' } } });
const secret = createSecretKey(Buffer.from(values.secret));
const lines = Array.from({ length: Number(values.count) }, () =>
  jwt.sign({ role: 'buyer', sid: randomUUID() }, secret, { subject: randomUUID(), expiresIn: '1d' }),
);
process.stdout.write(`${lines.join('\n')}\n`);

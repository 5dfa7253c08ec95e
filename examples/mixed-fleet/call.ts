/**
 * Calls both workers of the fleet from TypeScript:
 *
 *   npm run programs && node build/examples/mixed-fleet/call.js
 */
import { app, averageLength, slug } from './tasks.ts';

const timeout = 30;

const own = await slug.delay('Über uns');
console.log(`slug, from TypeScript: ${await own.get({ timeout })}`);

const mean = await app.sendTask('py.mean', [[1, 2, 6]]);
console.log(`mean, from Python: ${await mean.get({ timeout })}`);

const handedOn = await averageLength.delay(['owl', 'wren']);
console.log(`average length, sent to TypeScript, answered by Python: ${await handedOn.get({ timeout })}`);

const failing = await app.sendTask('py.mean', [[]]);
console.log(`mean of nothing: ${await failing.get({ timeout }).catch((error: unknown) => String(error))}`);

await app.close();

/**
 * `npm run parity`: gives every row of Celery's tables an entry in `test/parity`, and writes `docs/parity.md`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { completed, problemsOf, readMap, writeMap } from './parity/map.ts';
import { pageOf } from './parity/page.ts';
import { firstWord } from './parity/plan.ts';
import { root } from './parity/rows.ts';

const map = completed(readMap(), firstWord);
writeMap(map);
writeFileSync(join(root, 'docs', 'parity.md'), pageOf(map));

const problems = problemsOf(map);
for (const problem of problems) console.error(problem);
const entries = [...map.values()].flatMap((table) => Object.values(table));
const done = entries.filter((entry) => entry.status === 'done').length;
console.log(`${entries.length} rows, ${done} done, ${problems.length} problems.`);
process.exitCode = problems.length === 0 ? 0 : 1;

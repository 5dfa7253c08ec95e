/** `npm run commands`: writes `docs/reference/cli.md` from the commander program. */
import { writeFileSync } from 'node:fs';
import { cliReference } from './cli-reference/page.ts';

writeFileSync(new URL('../docs/reference/cli.md', import.meta.url), cliReference());

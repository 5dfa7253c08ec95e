/** `npm run settings`: writes `docs/reference/settings.md` from the table of settings. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { settingsReference } from '../src/app/settings/reference.ts';

const page = new URL('../docs/reference/settings.md', import.meta.url);
mkdirSync(new URL('.', page), { recursive: true });
writeFileSync(page, settingsReference());

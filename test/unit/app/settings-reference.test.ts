import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { settingsReference } from '../../../src/app/settings/reference.ts';
import { settingNames } from '../../../src/app/settings.ts';

it('is written as the table says; otherwise: npm run settings', () => {
  const written = readFileSync(new URL('../../../docs/reference/settings.md', import.meta.url), 'utf8');
  expect(written).toBe(settingsReference());
});

it('has every setting', () => {
  const page = settingsReference();
  for (const name of settingNames) expect(page).toContain(`\n### ${name}\n`);
});

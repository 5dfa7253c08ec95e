/** Colours of a program's log: on a terminal, unless somebody says no. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { loadCommandApp } from '../../../src/cli/context.ts';

async function colours(given: { isTTY?: boolean; setting?: boolean; color?: boolean; env?: Record<string, string> }) {
  const folder = mkdtempSync(join(tmpdir(), 'celery-ts-colours-'));
  const settings = given.setting === undefined ? '{}' : `{ workerLogColor: ${given.setting} }`;
  const path = join(folder, 'shop.mjs');
  writeFileSync(path, `import { Celery } from 'celery-ts'; export const app = new Celery('shop', ${settings});`);
  const command = new Command();
  command.setOptionValue('app', path);
  if (given.color !== undefined) command.setOptionValue('color', given.color);
  const stream = { write: () => true, isTTY: given.isTTY ?? true };
  let seen: unknown;
  const { app } = await loadCommandApp({ stdout: stream, stderr: stream, env: given.env ?? {} }, command, {
    setsUpLogging: true,
    onLoaded: async ({ signals }) => {
      signals.setupLogging.connect(({ colorize }) => {
        seen = colorize;
      });
    },
  });
  await app.close();
  rmSync(folder, { recursive: true });
  return seen;
}

it.each([
  ['a terminal', {}, true],
  ['no terminal', { isTTY: false }, false],
  ['no terminal, whatever workerLogColor says', { isTTY: false, setting: true }, false],
  ['workerLogColor: true', { setting: true }, true],
  ['workerLogColor: false', { setting: false }, false],
  ['--no-color over workerLogColor', { setting: true, color: false }, false],
  ['NO_COLOR over workerLogColor', { setting: true, env: { NO_COLOR: '1' } }, false],
] as const)('a log has colours with %s: %o gives %s', async (_, given, wanted) => {
  expect(await colours(given)).toBe(wanted);
});

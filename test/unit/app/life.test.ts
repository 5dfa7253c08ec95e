/** The hooks of an app's start, in their order. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Celery } from '../../../src/app/index.ts';
import { nodeSystem } from '../../../src/core/system.ts';

it('tells of its settings before modules are imported, and of the end of its start after them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'celery-ts-life-'));
  writeFileSync(join(folder, 'more.mjs'), 'globalThis.lifeOfTheApp.push("imported");');
  const order: string[] = [];
  Object.assign(globalThis, { lifeOfTheApp: order });
  const app = new Celery('life', { imports: ['./more.mjs'] }, { system: { ...nodeSystem(), cwd: () => folder } });
  app.onAfterConfigure.connect(({ source }) => void order.push(`configured ${source.imports}`));
  app.signals.importModules.connect(() => void order.push('importing'));
  app.onAfterFinalize.connect(() => void order.push('finalized'));
  await app.loaded;
  expect(order).toEqual(['configured ./more.mjs', 'importing', 'imported', 'finalized']);
  Reflect.deleteProperty(globalThis, 'lifeOfTheApp');
  rmSync(folder, { recursive: true });
});

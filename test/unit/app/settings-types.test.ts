import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** What the checker says of a program, as an editor shows it. */
async function complaintsOf(program: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'celery-ts-types-'));
  try {
    const file = join(folder, 'program.ts');
    writeFileSync(file, program.replaceAll("'celery-ts'", `'${join(root, 'src/index.ts')}'`));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const options = {
      noEmit: true,
      typeRoots: [join(root, 'node_modules/@types')],
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: false,
    };
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions: options, include: [file] }),
    );
    return await new Promise((resolve) => {
      execFile(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], (_, stdout) => {
        resolve(
          stdout
            .split('\n')
            .filter((line) => line.includes('program.ts'))
            .join('\n'),
        );
      });
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('has the checker suggest the right name for a setting mistyped', { timeout: 30_000 }, async () => {
  const complaints = await complaintsOf(`
    import { Celery } from 'celery-ts';
    const app = new Celery('t', { taskAcksLate: true });
    app.conf.taskAckLate;
    app.conf.update({ workerConcurency: 4 });
    new Celery('t', { broker_ur: 'amqp://localhost' });
  `);
  const [read, update, given, ...others] = complaints.split('\n');
  expect(read).toMatch(/program\.ts\(4,14\).*'taskAckLate' does not exist .*Did you mean 'taskAcksLate'\?/);
  expect(update).toMatch(
    /program\.ts\(5,23\).*'workerConcurency' does not exist .*Did you mean to write 'workerConcurrency'\?/,
  );
  expect(given).toMatch(/program\.ts\(6,23\).*'broker_ur' does not exist .*Did you mean to write 'broker_url'\?/);
  expect(others).toEqual([]);
});

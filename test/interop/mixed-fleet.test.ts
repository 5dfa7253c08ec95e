/** `examples/mixed-fleet`: a Python worker and a TypeScript worker on one broker, each handing work to the other. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { compileExamples, endOf } from '../support/examples.ts';
import { Program } from '../support/process.ts';
import { findPython } from '../support/python.ts';

it('answers callers of both languages, whoever runs the task in the end', async () => {
  await using broker = await testBroker();
  await using examples = await compileExamples();
  const python = await findPython();
  const env = { CELERY_BROKER_URL: broker.url, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', C_FORCE_ROOT: '1' };
  const cwd = join(root, 'examples', 'mixed-fleet');
  const celery = [
    '-m',
    'celery',
    '-A',
    'tasks',
    'worker',
    '-Q',
    'python',
    '-P',
    'solo',
    '-l',
    'INFO',
    '-n',
    'py@fleet',
  ];
  await using snake = new Program(python.path, celery, { cwd, env });
  await using script = examples.worker('mixed-fleet', ['-Q', 'typescript', '-c', '2', '-n', 'ts@fleet'], env);
  await Promise.all([snake.line(/ready\./, 40), script.line(/ready\./)]);

  await using fromTypeScript = examples.start('mixed-fleet/call', env);
  const called = await endOf(fromTypeScript);
  expect(called.stdout.split('\n'), called.stderr).toEqual([
    'slug, from TypeScript: uber-uns',
    'mean, from Python: 3',
    'average length, sent to TypeScript, answered by Python: 3.5',
    expect.stringMatching(/^mean of nothing: .*StatisticsError.*requires at least one data point/),
    '',
  ]);
  expect(called.code).toBe(0);

  await using fromPython = new Program(python.path, ['call.py'], { cwd, env: { ...env, PYTHONPATH: cwd } });
  const answered = await endOf(fromPython);
  expect(answered.stdout.split('\n'), answered.stderr).toEqual([
    'mean, from Python: 3',
    'slug, from TypeScript: uber-uns',
    'address, sent to Python, answered by TypeScript: ada-lovelace',
    '',
  ]);
  const [one, other] = await Promise.all([script.stop(), snake.stop()]);
  expect([one.code, other.code]).toEqual([0, 0]);
});

/**
 * The package as npm would publish it: packed, installed in an empty folder, used there.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { Program } from '../support/process.ts';

const execFileAsync = promisify(execFile);
const tool = (name: string): string => join(root, 'node_modules', '.bin', name);

let folder: string;
let tarball: string;
let consumer: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'celery-ts-package-'));
  consumer = join(folder, 'consumer');
  await mkdir(consumer);
  const packed = await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], root);
  tarball = join(folder, packed.trim().split('\n').at(-1) ?? '');
  await writeFile(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  await run('npm', ['install', '--silent', '--no-audit', '--no-fund', '--prefer-offline', tarball], consumer);
});

afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

describe('the packed package', () => {
  it('holds what its users need and nothing else', async () => {
    const files = (await run('tar', ['-tzf', tarball], folder)).trim().split('\n');
    const expected =
      /^package\/(dist\/.+\.(js|d\.ts)|bin\/celery-ts\.js|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/;
    expect(files.filter((file) => !expected.test(file))).toEqual([]);
    expect(files).toContain('package/dist/index.d.ts');
    expect(files).toContain('package/LICENSE');
  });

  it('gives a command that tells its version', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    const { stdout } = await execFileAsync('npx', ['--no-install', 'celery-ts', '--version'], { cwd: consumer });
    expect(stdout.trim()).toContain(version);
  });

  it('runs a worker on a tasks.ts, and its results come back', async () => {
    await using broker = await testBroker();
    const env = { CELERY_BROKER_URL: broker.url };
    await writeFile(
      join(consumer, 'tasks.ts'),
      `import { Celery } from 'celery-ts';
       export const app = new Celery('tasks', { brokerUrl: 'amqp://nowhere.invalid//', resultBackend: 'rpc://' });
       export const add = app.task('tasks.add', (x: number, y: number): number => x + y);`,
    );
    await writeFile(
      join(consumer, 'client.js'),
      `import { Celery } from 'celery-ts';
       const app = new Celery('client', { brokerUrl: process.env.CELERY_BROKER_URL, resultBackend: 'rpc://' });
       const result = await app.sendTask('tasks.add', [2, 3]);
       console.log('sum', await result.get({ timeout: 20 }));
       await app.close();`,
    );
    const bin = join(consumer, 'node_modules', '.bin', 'celery-ts');
    await using worker = new Program(bin, ['worker', '-A', 'tasks', '-P', 'async', '-l', 'INFO'], {
      cwd: consumer,
      env,
    });
    await worker.line(/ready\./);
    await using client = new Program(process.execPath, ['client.js'], { cwd: consumer, env });
    expect((await client.ended).stdout).toBe('sum 5\n');
    expect((await worker.stop()).code).toBe(0);
  });

  it('leads from an empty folder to a first result in four commands', async () => {
    const empty = await mkdtemp(join(folder, 'newcomer-'));
    const start = performance.now();
    // What a newcomer's machine has: nothing at the broker's address. The port is a free one for the sake of this machine.
    const env = { CELERY_BROKER_URL: await freeBrokerUrl() };
    const words = (line: string): [string, string[]] => ['npx', ['--no-install', 'celery-ts', ...line.split(' ')]];
    await run('npm', ['install', '--silent', '--no-audit', '--no-fund', '--prefer-offline', tarball], empty);
    const installed = performance.now();
    await run(...words('init'), empty);
    await using dev = new Program(...words('dev'), { cwd: empty, env });
    await dev.line(/ready\./, 120);
    await using call = new Program(...words('call tasks.add --args [1,2] --wait 60'), { cwd: empty, env });
    expect(await call.ended).toMatchObject({ code: 0, stdout: '3\n' });
    const seconds = (from: number): string => ((performance.now() - from) / 1000).toFixed(1);
    console.log(
      `From an empty folder to the first result: ${seconds(start)} s, ${seconds(installed)} s of them without npm.`,
    );
    // Through npx, which passes nothing on: `dev` notices by itself that it is alone, and its output ends with it.
    await dev.stop(60);
  });

  it.each(['nodenext', 'bundler'])('has types that compile in a strict project (%s)', async (resolution) => {
    await writeFile(
      join(consumer, 'typed.ts'),
      `import { Celery, Exchange, Queue, type AsyncResult } from 'celery-ts';
       import { startBroker } from 'celery-ts/broker';
       import { startWorker } from 'celery-ts/testing';
       export const app = new Celery('typed', { brokerUrl: 'amqp://localhost//', taskAcksLate: true });
       export const add = app.task('typed.add', (x: number, y = 1) => x + y);
       export async function use(): Promise<number> {
         app.conf.update({ taskQueues: [new Queue('add', { exchange: new Exchange('tasks', { type: 'topic' }) })] });
         const result: AsyncResult<number> = await add.delay(1);
         // @ts-expect-error: a string is no number
         await add.delay('1');
         return result.get({ timeout: 1 });
       }
       export { startBroker, startWorker };`,
    );
    const options = [
      '--noEmit',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--noUncheckedIndexedAccess',
      '--target',
      'es2023',
    ];
    const modules = ['--module', resolution === 'bundler' ? 'esnext' : 'nodenext', '--moduleResolution', resolution];
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
    const said = await run(tool('tsc'), [...options, ...modules, ...types, '--ignoreConfig', 'typed.ts'], consumer);
    expect(said).toBe('');
  });

  it('can be required by a CommonJS program', async () => {
    const program = "const { Celery } = require('celery-ts'); console.log(typeof new Celery('old').task);";
    await writeFile(join(consumer, 'old.cjs'), program);
    expect(await run(process.execPath, ['old.cjs'], consumer)).toBe('function\n');
  });

  it('is a package without faults to publint', async () => {
    expect(await run(tool('publint'), ['run', tarball, '--strict'], folder)).toMatch(/All good!/);
  });

  it('resolves with its types wherever ESM is understood, says attw', async () => {
    expect(await run(tool('attw'), [tarball, '--profile', 'esm-only'], folder)).toMatch(/🟢 \(ESM\)/);
  });
});

async function freeBrokerUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `amqp://localhost:${address.port}//`;
}

/** The program's output; fails with all it said when it fails. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await execFileAsync(command, args, {
      cwd,
      maxBuffer: 2 ** 24,
      env: { ...process.env, NO_COLOR: '1' },
    });
    return stdout;
  } catch (error) {
    const said =
      error instanceof Error && 'stdout' in error && 'stderr' in error ? `${error.stdout}${error.stderr}` : '';
    throw new Error(`${command} ${args.join(' ')} failed:\n${said}`, { cause: error });
  }
}

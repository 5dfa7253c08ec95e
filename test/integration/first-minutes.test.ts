/** Commands around a project, from the command line: init, completion, upgrade, shell. */
import { execFileSync, spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { tempProject } from '../support/cli.ts';

const bin = join(root, 'bin', 'celery-ts.js');

/** A prompt with what is typed at it. Not waited for in one piece: the embedded broker lives in this process. */
async function typed(
  command: string,
  { cwd, env, input }: { cwd: string; env: NodeJS.ProcessEnv; input: string },
): Promise<{ status: number | null; stdout: string }> {
  const child = spawn(process.execPath, [bin, command], {
    cwd,
    env,
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: 30_000,
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.stdin.end(input);
  return { stdout: await text(child.stdout), status: await ended };
}

describe('celery-ts init', () => {
  it('writes an app that a worker runs without -A, and overwrites nothing', async () => {
    await using project = await tempProject({ 'package.json': '{\n    "name": "mine"\n}\n' });
    const read = (name: string): Promise<string> => readFile(join(project.folder, name), 'utf8');
    expect((await project.run(['init'])).stdout).toMatch(
      /wrote {2}tasks.ts\nwrote {2}docker-compose.yml\nwrote {2}package.json/,
    );
    expect(JSON.parse(await read('package.json'))).toEqual({ name: 'mine', celery: { app: './tasks.ts' } });
    await project.write('tasks.ts', `${await read('tasks.ts')}// mine\n`);
    expect((await project.run(['init'])).stdout).toMatch(
      /kept {3}tasks.ts\nkept {3}docker-compose.yml\nkept {3}package.json/,
    );
    expect(await read('tasks.ts')).toMatch(/mine/);
    await using broker = await testBroker();
    const env = { CELERY_BROKER_URL: broker.url };
    await using worker = project.start(['worker', '-P', 'solo', '-l', 'INFO'], env);
    await worker.line(/ready\./);
    await project.run(['call', 'tasks.add', '--args', '[1, 2]'], env);
    await worker.line(/Task succeeded/);
  }, 60_000);
});

describe('celery-ts completion', () => {
  it.each(['bash', 'zsh', 'fish'])(
    'prints a script for %s that knows the commands and their options',
    async (shell) => {
      await using project = await tempProject({});
      const { code, stdout } = await project.run(['completion', shell]);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/multi/)]);
      expect(stdout).toMatch(/concurrency/);
      if (shell !== 'bash') return;
      const script = `${stdout}\nCOMP_WORDS=(celery-ts worker --conc) COMP_CWORD=2; _celery_ts; echo "\${COMPREPLY[@]}"`;
      expect(execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim()).toBe('--concurrency');
    },
  );
});

describe('celery-ts upgrade settings', () => {
  it('writes new names for old ones, tells each, and keeps a copy', async () => {
    await using project = await tempProject({});
    const old = `BROKER_URL = 'amqp://'\nCELERYD_CONCURRENCY = 4\nMY_CELERYD_CONCURRENCY = 1\nCELERY_TASK_SERIALIZER = 'json'\n`;
    const path = join(project.folder, 'celeryconfig.py');
    await writeFile(path, old);
    const { code, stdout } = await project.run(['upgrade', 'settings', 'celeryconfig.py']);
    expect([code, stdout]).toEqual([
      0,
      expect.stringContaining('celeryconfig.py:2  CELERYD_CONCURRENCY -> worker_concurrency'),
    ]);
    expect(await readFile(path, 'utf8')).toBe(
      `broker_url = 'amqp://'\nworker_concurrency = 4\nMY_CELERYD_CONCURRENCY = 1\ntask_serializer = 'json'\n`,
    );
    expect(await readFile(`${path}.orig`, 'utf8')).toBe(old);
    await writeFile(join(project.folder, 'dj.py'), 'CELERYD_CONCURRENCY = 4\n');
    await project.run(['upgrade', 'settings', 'dj.py', '--django', '--no-backup']);
    expect(await readFile(join(project.folder, 'dj.py'), 'utf8')).toBe('CELERY_WORKER_CONCURRENCY = 4\n');
    const missing = await project.run(['upgrade', 'settings', 'nothing.py']);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/nothing.py cannot be read/)]);
  });
});

describe('celery-ts shell and amqp', () => {
  it('shell: has the tasks by name, awaits promises, and ends with its input', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({});
    await project.run(['init']);
    const { status, stdout } = await typed('shell', {
      cwd: project.folder,
      input: 'add.name\nawait add.delay(1, 2).then((result) => "sent " + result.id.length)\n',
      env: { ...process.env, CELERY_BROKER_URL: broker.url },
    });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/'tasks\.add'[\s\S]*sent 36/)]);
  }, 60_000);

  it('amqp: declares, binds, publishes, gets and deletes, one command at a time and at the prompt', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({});
    const env = { CELERY_BROKER_URL: broker.url };
    const amqp = async (...words: string[]): Promise<string> =>
      (await project.run(['amqp', ...words], env)).stdout.trim();
    expect(await amqp('exchange.declare', 'ex', 'direct', 'no', 'yes')).toBe('ok.');
    expect(await amqp('queue.declare', 'q', 'no', 'yes')).toBe('ok. queue:q messages:0 consumers:0.');
    expect(await amqp('queue.bind', 'q', 'ex', 'key')).toBe('ok.');
    expect(await amqp('basic.publish', 'hello', 'ex', 'key')).toBe('ok.');
    const { status, stdout } = await typed('amqp', {
      cwd: project.folder,
      input: 'basic.get q\nbasic.ack 1\nqueue.declare nothing yes\nqueue.declare q yes\nexit\n',
      env: { ...process.env, ...env },
    });
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/"body": "hello"[\s\S]*ok\.[\s\S]*Error: [\s\S]*messages:0/),
    ]);
    expect(await amqp('queue.delete', 'q')).toBe('ok. 0 messages deleted.');
    const wrong = await project.run(['amqp', 'queue.delet', 'q'], env);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/did you mean 'queue.delete'/)]);
  }, 90_000);
});

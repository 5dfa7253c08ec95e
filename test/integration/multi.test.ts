/** `celery-ts multi` and detached workers from the command line, on a broker; every process is ended by its pid. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive } from '../../src/core/process-identity.ts';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import { Program } from '../support/process.ts';
import { until } from '../support/until.ts';

const tasks = `
import { Celery } from 'celery-ts';
export const app = new Celery('tasks', { backend: 'rpc://' });
export const add = app.task('tasks.add', (x, y) => x + y);
`;
const files = ['--pidfile=run/%n.pid', '--logfile=log/%n%I.log'];

async function pidOf(project: TempProject, name: string): Promise<number> {
  return Number((await readFile(join(project.folder, 'run', `${name}.pid`), 'utf8')).split('\n')[0]);
}

/** Ends what a failed test may have left behind. */
function endAtScopeEnd(project: TempProject, env: Record<string, string>, ...names: string[]): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      await project.run(['multi', 'kill', ...names, ...files], env);
    },
  };
}

describe('celery-ts multi', () => {
  it('starts workers that run tasks, restarts one beside the other, and stops them without leaving anything', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    const all = ['w1', 'w2', '-A', 'tasks', '-l', 'info', '-c', '1', ...files];
    await using _end = endAtScopeEnd(project, env, 'w1', 'w2');
    const started = await project.run(['multi', 'start', ...all], env);
    expect([started.code, started.stdout]).toEqual([0, expect.stringMatching(/> w1@\S+: OK\n\t> w2@\S+: OK/)]);
    const [first, second] = [await pidOf(project, 'w1'), await pidOf(project, 'w2')];

    const status = await project.run(['status', '-A', 'tasks', '-t', '3'], env);
    expect(status.stdout).toMatch(/w1@\S+: OK[\s\S]*w2@\S+: OK[\s\S]*2 nodes online/);
    const log = (name: string): Promise<string> => readFile(join(project.folder, 'log', `${name}.log`), 'utf8');
    await until(
      async () => {
        await project.run(['call', 'tasks.add', '-a', '[1, 2]', '-A', 'tasks'], env);
        const logs = await Promise.all([log('w1'), log('w2')]);
        return logs.every((text) => text.includes('Task succeeded'));
      },
      { what: 'a task run by each', withinSeconds: 30 },
    );

    const restarted = await project.run(['multi', 'restart', 'w1', ...all.slice(2)], env);
    expect([restarted.code, restarted.stdout]).toEqual([0, expect.stringContaining(`TERM -> ${first}`)]);
    expect(await pidOf(project, 'w1')).not.toBe(first);
    expect(await pidOf(project, 'w2')).toBe(second);
    expect(isAlive(second)).toBe(true);

    const third = await pidOf(project, 'w1');
    expect((await project.run(['multi', 'stopwait', 'w1', 'w2', ...files], env)).code).toBe(0);
    expect([first, second, third].filter(isAlive)).toEqual([]);
    expect(await readdir(join(project.folder, 'run'))).toEqual([]);
  }, 90_000);

  it('starts no second worker on a pid file that is held, and says whose it is', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    await using _end = endAtScopeEnd(project, env, 'w1');
    const start = ['multi', 'start', 'w1', '-A', 'tasks', '-P', 'solo', ...files];
    expect((await project.run(start, env)).code).toBe(0);
    const pid = await pidOf(project, 'w1');
    const again = await project.run(start, env);
    expect([again.code, again.stdout]).toEqual([
      1,
      expect.stringMatching(new RegExp(`FAILED \\(exit code 73\\)[\\s\\S]*belongs to process ${pid}`)),
    ]);
    expect(await pidOf(project, 'w1')).toBe(pid);
    const killed = await project.run(['multi', 'kill', 'w1', ...files], env);
    expect(killed.stdout).toContain(`KILL -> ${pid}`);
    expect(isAlive(pid)).toBe(false);
    expect(await readdir(join(project.folder, 'run'))).toEqual([]);
  }, 60_000);

  it('signals nobody for a pid file of a recycled pid, a link or garbage', async () => {
    await using project = await tempProject({ 'tasks.mjs': tasks });
    await mkdir(join(project.folder, 'run'));
    const path = join(project.folder, 'run', 'w1.pid');
    await writeFile(join(project.folder, 'precious'), `${process.pid}\n`);
    for (const spoil of [
      () => writeFile(path, 'garbage'),
      () => writeFile(path, `${process.pid}\nanother boot 1\n`),
      () => symlink(join(project.folder, 'precious'), path),
    ]) {
      await spoil();
      const { code, stdout } = await project.run(['multi', 'stopwait', 'w1', '-KILL', ...files]);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/w1@\S+: DOWN/)]);
      await rm(path, { force: true });
    }
    expect(await readFile(join(project.folder, 'precious'), 'utf8')).toBe(`${process.pid}\n`);
  });

  it('tells why a worker could not be started, and starts the others', async () => {
    await using project = await tempProject({ 'tasks.mjs': 'throw new TypeError("no such luck");' });
    const { code, stdout } = await project.run(['multi', 'start', 'w1', '-A', 'tasks', ...files]);
    expect([code, stdout]).toEqual([1, expect.stringMatching(/w1@\S+: FAILED \(exit code 78\)\n.*no such luck/)]);
  });

  it('names the nearest command, refuses names that lead out of the folder, and has a page of help', async () => {
    await using project = await tempProject({});
    const wrong = await project.run(['multi', 'strat', 'w1']);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/did you mean 'start'/)]);
    const outside = await project.run(['multi', 'start', '../../x']);
    expect([outside.code, outside.stderr]).toEqual([2, expect.stringMatching(/A node name may have letters/)]);
    const help = await project.run(['multi', '--help']);
    expect([help.code, help.stdout]).toEqual([0, expect.stringMatching(/stopwait <names or count>/)]);
  });
});

describe('a detached worker', () => {
  it('has left its starter behind, logs into its file, and opens it anew on SIGHUP', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    await using _end = endAtScopeEnd(project, env, 'solo');
    const args = ['worker', '-A', 'tasks', '-P', 'solo', '-n', 'solo', '-l', 'INFO', '-D', '--umask', '077', ...files];
    await mkdir(join(project.folder, 'run'));
    await mkdir(join(project.folder, 'log'));
    const started = await project.run(args, env);
    expect([started.code, started.stdout, started.stderr]).toEqual([0, '', '']);
    const pid = await pidOf(project, 'solo');
    expect(isAlive(pid)).toBe(true);
    const log = join(project.folder, 'log', 'solo.log');
    await rename(log, `${log}.1`);
    process.kill(pid, 'SIGHUP');
    const call = (): Promise<unknown> => project.run(['call', 'tasks.add', '-a', '[1, 2]', '-A', 'tasks'], env);
    await until(async () => (await readdir(join(project.folder, 'log'))).includes('solo.log'), { what: 'a new file' });
    await call();
    await until(async () => (await readFile(log, 'utf8')).includes('Task succeeded'), { what: 'the line of the task' });
    process.kill(pid, 'SIGTERM');
    await until(() => !isAlive(pid), { what: 'the end' });
    expect(await readdir(join(project.folder, 'run'))).toEqual([]);
  }, 60_000);

  it('outlives the terminal that it was started at, and is found again from the next one', async ({ skip }) => {
    skip(!existsSync('/usr/bin/script'), 'needs script(1), which makes a terminal');
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const env = { CELERY_BROKER_URL: broker.url };
    await using _end = endAtScopeEnd(project, env, 'w1');
    const bin = join(root, 'bin', 'celery-ts.js');
    const start = `"${process.execPath}" "${bin}" multi start w1 -A tasks -P solo -l info ${files.join(' ')}; echo started; sleep 600`;
    await using terminal = new Program('/usr/bin/script', ['-qec', start, '/dev/null'], { cwd: project.folder, env });
    await terminal.line(/^started/, 60);
    const pid = await pidOf(project, 'w1');
    terminal.signal('SIGKILL'); // whoever holds the other end is gone: the kernel hangs the terminal up
    await terminal.ended;
    await project.run(['call', 'tasks.add', '-a', '[1, 2]', '-A', 'tasks'], env);
    const log = join(project.folder, 'log', 'w1.log');
    await until(async () => (await readFile(log, 'utf8')).includes('Task succeeded'), {
      what: 'a task run',
      withinSeconds: 30,
    });
    expect(await pidOf(project, 'w1')).toBe(pid);
    expect((await project.run(['multi', 'stopwait', 'w1', ...files], env)).code).toBe(0);
    expect([isAlive(pid), await readdir(join(project.folder, 'run'))]).toEqual([false, []]);
  }, 90_000);

  it('becomes another user with --uid and --gid, and its files are of that user and --umask', async ({ skip }) => {
    const nobody = 65_534;
    skip(process.getuid?.() !== 0, 'only root may become another user');
    skip(!canRead(nobody), 'user nobody cannot read this folder');
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    await chmod(project.folder, 0o755);
    for (const name of ['run', 'log']) {
      await mkdir(join(project.folder, name));
      await chown(join(project.folder, name), nobody, nobody);
    }
    const env = { CELERY_BROKER_URL: broker.url, HOME: '/nonexistent' };
    await using _end = endAtScopeEnd(project, env, 'u1');
    const identity = ['--uid', String(nobody), '--gid', String(nobody), '--umask', '027'];
    const args = ['worker', '-A', 'tasks', '-c', '1', '-n', 'u1', '-l', 'INFO', '-D', ...identity, ...files];
    const started = await project.run(args, env);
    expect([started.code, started.stderr]).toEqual([0, '']);
    const pid = await pidOf(project, 'u1');
    expect((await stat(`/proc/${pid}`)).uid).toBe(nobody);
    for (const file of ['run/u1.pid', 'log/u1.log']) {
      const { gid, mode, uid } = await stat(join(project.folder, file));
      expect([file, uid, gid, mode & 0o027]).toEqual([file, nobody, nobody, 0]);
    }
    await project.run(['call', 'tasks.add', '-a', '[1, 2]', '-A', 'tasks'], env);
    const log = join(project.folder, 'log', 'u1.log');
    await until(async () => (await readFile(log, 'utf8')).includes('Task succeeded'), {
      what: 'a task run',
      withinSeconds: 30,
    });
    process.kill(pid, 'SIGTERM');
    await until(() => !isAlive(pid), { what: 'the end', withinSeconds: 30 });
  }, 90_000);

  it('names a user that is not there, and may become no other without being root', async ({ skip }) => {
    await using project = await tempProject({ 'tasks.mjs': tasks });
    for (const command of ['worker', 'beat']) {
      const { code, stderr } = await project.run([command, '-A', 'tasks', '--uid', 'no-such-user']);
      expect([command, code, stderr]).toEqual([command, 78, "Error: There is no user 'no-such-user' here.\n"]);
    }
    const octal = await project.run(['beat', '-A', 'tasks', '--umask', '9']);
    expect([octal.code, octal.stderr]).toEqual([2, expect.stringMatching(/octal/)]);
    skip(process.getuid?.() === 0, 'root may become anybody');
    const other = await project.run(['worker', '-A', 'tasks', '--uid', '0']);
    expect([other.code, other.stderr]).toEqual([77, expect.stringMatching(/Only root/)]);
  }, 60_000);

  it.each(['worker', 'beat'])('%s: leaves with 73 for a log or pid file it may not write', async (command) => {
    await using project = await tempProject({ 'tasks.mjs': tasks });
    await writeFile(join(project.folder, 'precious'), 'precious');
    await symlink(join(project.folder, 'precious'), join(project.folder, 'link.log'));
    for (const options of [
      ['-f', 'no/such/folder.log'],
      ['-f', 'link.log'],
      ['-f', 'link.log', '--detach'],
      ['--pidfile', 'no/such/folder.pid'],
      ['--pidfile', 'no/such/folder.pid', '--detach'],
    ]) {
      const { code, stderr } = await project.run([command, '-A', 'tasks', ...options]);
      expect([options, code, stderr]).toEqual([options, 73, expect.stringMatching(/^Error: The (log|pid) file/)]);
    }
    expect(await readFile(join(project.folder, 'precious'), 'utf8')).toBe('precious');
  });

  it('worker: leaves with 73 for a state file it may not write', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': tasks });
    const statedb = (file: string) =>
      project.run(['worker', '-A', 'tasks', '-P', 'solo', '-b', broker.url, '--statedb', file]);
    const nowhere = await statedb('no/such/worker.state');
    expect([nowhere.code, nowhere.stderr]).toEqual([
      73,
      expect.stringMatching(
        /^Error: The state file \S*worker\.state cannot be used: .*Name another one \(--statedb\)\.$/m,
      ),
    ]);
  });
});

/** Whether a user can run what is built here. */
function canRead(uid: number): boolean {
  const { status } = spawnSync(process.execPath, [join(root, 'bin', 'celery-ts.js'), '--version'], {
    uid,
    gid: uid,
    cwd: '/',
  });
  return status === 0;
}

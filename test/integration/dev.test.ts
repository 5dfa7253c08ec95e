/** `celery-ts dev`: the embedded broker, a worker and beat in one command, anew when the sources change. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { Celery } from 'celery-ts';
import { startBroker } from 'celery-ts/broker';
import { describe, expect, it } from 'vitest';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const tasks = `
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from 'celery-ts';
import { version } from './lib/version.ts';
export const app = new Celery('tasks', { brokerUrl: process.env.WHERE, resultBackend: 'rpc://' });
export const which = app.task('tasks.which', () => version);
export const pids = app.task('tasks.pids', () => [process.pid, process.ppid]);
export const slow = app.task('tasks.slow', async (seconds: number) => {
  console.log('slow begins');
  await sleep(seconds * 1000);
  return version;
});
`;
const versionFile = (version: number): string => `export const version: number = ${version};\n`;
const files = { 'tasks.ts': tasks, 'lib/version.ts': versionFile(1) };

describe('celery-ts dev', () => {
  it('runs the app on the embedded broker, anew at each change, and nothing that was sent is lost', async () => {
    const where = await freeUrl();
    await using project = await tempProject(files);
    await using dev = project.start(['dev'], { WHERE: where });
    await dev.line(/celery@\S+ ready\./, 60);
    expect(dev.stdout).toMatch(/broker +amqp:\/\/guest:\*\*@localhost:\d+\/\/ +\(embedded, in memory\)/);
    expect(dev.stdout).toMatch(/sources +2 files/);

    // Another program in this folder needs to be told nothing.
    const called = await project.run(['call', 'tasks.which'], { WHERE: where });
    expect(called.code).toBe(0);
    await dev.line(/Task succeeded task=tasks\.which .*result=1/);

    await using app = new Celery('client', { brokerUrl: where, resultBackend: 'rpc://' });
    const get = async (name: string, args: unknown[] = []): Promise<unknown> =>
      (await app.sendTask(name, args)).get({ timeout: 60 });
    const pids = (await get('tasks.pids')) as number[];

    // What runs when a file changes ends as it began; what is sent meanwhile meets the new code.
    const old = await app.sendTask('tasks.slow', [2]);
    await dev.line(/tasks\.slow \| slow begins/);
    await project.write('lib/version.ts', versionFile(2));
    await dev.line(/lib\/version\.ts changed: restarting/);
    const young = await app.sendTask('tasks.which');
    expect([await old.get({ timeout: 30 }), await young.get({ timeout: 60 })]).toEqual([1, 2]);

    // What does not load is told, and waits for the next save.
    await project.write('tasks.ts', `${tasks}export const = 1;\n`);
    await dev.line(/Error: Cannot load \.\/tasks\.ts:\d+:\d+: .*syntax error/, 30);
    await dev.line(/The worker has ended \(exit code 78\)\. A change of the sources starts it again/);
    const waiting = await app.sendTask('tasks.which');
    await project.write('tasks.ts', tasks.replace('=> version', '=> version + 40'));
    expect(await waiting.get({ timeout: 60 })).toBe(42);

    pids.push(...((await get('tasks.pids')) as number[]));
    await app.sendTask('tasks.slow', [1.5]);
    await until(() => dev.stdout.split('slow begins').length === 3, { what: 'the last task', withinSeconds: 20 });
    dev.signal('SIGINT');
    const { code, stdout, stderr } = await dev.ended;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/Stopping \(SIGINT\)[\s\S]*Task succeeded task=tasks\.slow/);
    expect(pids.filter(isRunning)).toEqual([]);
  }, 180_000);

  it('runs beat where there is a schedule, works with a broker that answers, and leaves nothing behind when killed', async () => {
    await using broker = await startBroker({ strict: true });
    await using project = await tempProject({
      'tasks.mjs': `
        import { Celery } from 'celery-ts';
        export const app = new Celery('tasks', {
          beatSchedule: { often: { task: 'tasks.tick', schedule: 0.3 } },
        });
        app.task('tasks.tick', () => [process.pid, process.ppid].join());
      `,
    });
    await using dev = project.start(['dev', '-c', '1'], { CELERY_BROKER_URL: broker.url });
    const line = await dev.line(/Task succeeded task=tasks\.tick/, 60);
    expect(dev.stdout).toMatch(/\(celery-ts broker \S+ answers there\)[\s\S]*beat +1 in the schedule/);
    await dev.line(/ beat {3}Scheduler: Sending due task/);
    const pids = line.split('result=')[1]?.match(/\d+/g)?.map(Number) ?? [];
    expect(pids.filter(isRunning)).toHaveLength(2);
    dev.signal('SIGKILL');
    await dev.ended;
    await until(() => !pids.some(isRunning), { what: 'the worker and its child to end', withinSeconds: 30 });
  }, 120_000);

  it('ends with its terminal, while a task runs that would not', async () => {
    await using project = await tempProject({
      'tasks.mjs': `
        import { Celery } from 'celery-ts';
        export const app = new Celery('tasks');
        app.task('tasks.stuck', () => { console.log('pid', process.pid, process.ppid); for (;;); });
      `,
    });
    await using dev = project.start(['dev', '--broker-port', '0', '-P', 'prefork', '-c', '1']);
    const said = await dev.line(/Other programs reach this broker with CELERY_BROKER_URL=/, 60);
    const url = said.split('CELERY_BROKER_URL=')[1] ?? '';
    expect((await project.run(['call', 'tasks.stuck', '-b', url])).code).toBe(0);
    const pids =
      (await dev.line(/tasks\.stuck \| pid/))
        .match(/pid (\d+) (\d+)/)
        ?.slice(1)
        .map(Number) ?? [];
    dev.signal('SIGHUP');
    expect((await dev.ended).signal).toBeUndefined();
    expect([pids.length, pids.filter(isRunning)]).toEqual([2, []]);
  }, 120_000);

  it('says what to do when there can be no broker at the URL of the app', async () => {
    await using project = await tempProject({
      'tasks.mjs': "import { Celery } from 'celery-ts';\nexport const app = new Celery('tasks');",
    });
    const stranger = await listening(
      createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 \r\n\r\n')),
    );
    try {
      const taken = await project.run(['dev'], { CELERY_BROKER_URL: `amqp://127.0.0.1:${portOf(stranger)}//` });
      expect([taken.code, taken.stderr]).toEqual([69, expect.stringMatching(/does not speak AMQP 0-9-1/)]);
    } finally {
      stranger.close();
    }
    const far = await project.run(['dev'], { CELERY_BROKER_URL: 'amqps://me:secret@127.0.0.1:1//' });
    expect([far.code, far.stderr]).toEqual([
      69,
      expect.stringMatching(
        /^Error: The app's broker amqps:\/\/me:\*\*@127\.0\.0\.1:1\/\/ does not answer.*CELERY_BROKER_URL/,
      ),
    ]);
    expect((await project.run(['dev', '-c', 'many'])).code).toBe(2);
  }, 90_000);
});

/** An address on this machine where nobody listens. */
async function freeUrl(): Promise<string> {
  const server = await listening(createServer());
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return `amqp://localhost:${port}//`;
}

async function listening(server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

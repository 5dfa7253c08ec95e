/** A user's first steps: a folder with a tasks module, a worker from the command line, calls from another program. */
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';

const options =
  "{ brokerUrl: process.env.CELERY_BROKER_URL, resultBackend: 'rpc://', taskRoutes: { 'tasks.add': 'add', 'tasks.get_id': { queue: 'get_id' } } }";
const esm = `
import { Celery } from 'celery-ts';
export const app = new Celery('tasks', ${options});
export const add = app.task('tasks.add', (x, y) => x + y);
export const getId = app.task('tasks.get_id', { bind: true }, (self) => self.request.id);
`;
const typed = esm.replace('(x, y)', '(x: number, y: number)');
const commonJs = `
const { Celery } = require('celery-ts');
const app = new Celery('tasks', ${options});
app.task('tasks.add', (x, y) => x + y);
app.task('tasks.get_id', { bind: true }, (self) => self.request.id);
module.exports = { app };
`;

describe('a worker from the command line', () => {
  it.each([
    ['tasks.ts', typed, ['worker', '-A', 'tasks']],
    ['tasks.ts', typed, ['-A', 'tasks', 'worker']],
    ['tasks.js', esm, ['worker', '-A', 'tasks']],
    ['tasks.mjs', esm, ['worker', '-A', 'tasks']],
    ['tasks.cjs', commonJs, ['worker', '-A', 'tasks']],
    ['tasks/index.ts', typed, ['worker', '-A', 'tasks']],
    ['tasks.ts', typed, ['worker']],
  ])('runs the tasks of %s on two queues (%#)', async (file, source, words) => {
    await using broker = await testBroker();
    await using project = await tempProject({ [file]: source, 'package.json': '{ "type": "module" }' });
    const env = { CELERY_BROKER_URL: broker.url };
    await using worker = project.start([...words, '-Q', 'add,get_id', '-c', '2', '-l', 'INFO', '-n', 'first'], env);
    await worker.line(/ready\./);
    expect(worker.stdout).toMatch(/first@.*\n/);
    expect(worker.stdout).toMatch(/\.> add\s+exchange=add\(direct\) key=add/);
    expect(worker.stdout).toContain('  . tasks.get_id');
    expect(worker.stdout).toContain('concurrency:  2 (prefork)');

    await using client = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const sum = await client.sendTask('tasks.add', [2, 3], { queue: 'add' });
    expect(await sum.get({ timeout: 20 })).toBe(5);
    const id = await client.sendTask('tasks.get_id', [], { queue: 'get_id' });
    expect(await id.get({ timeout: 20 })).toBe(id.id);

    const ended = await worker.stop();
    expect(ended.code).toBe(0);
  });
});

describe('celery-ts call', () => {
  it('prints the id of the task it sent, by the routes of the app', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.ts': typed });
    const env = { CELERY_BROKER_URL: broker.url };
    const { code, stdout } = await project.run(['call', 'tasks.add', '--args', '[1, 2]'], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}\n$/);
    expect(await broker.depth('add')).toBe(1);
  });
});

describe('celery-ts report', () => {
  it('shows versions and settings, and no password', async () => {
    await using project = await tempProject({ 'tasks.ts': typed });
    const { code, stdout } = await project.run(['report'], { CELERY_BROKER_URL: 'amqp://me:s3cret@localhost//' });
    expect(code).toBe(0);
    expect(stdout).toMatch(/celery-ts:\d+\.\d+\.\d+ node:\d+/);
    expect(stdout).toContain('result_backend');
    expect(stdout).not.toContain('s3cret');
  });
});

describe('what goes wrong', () => {
  const readable = (stderr: string): void => {
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stderr).toMatch(/Error: /);
  };

  it.each([
    ['an app that is not there', ['worker', '-A', 'nowhere'], {}, 78, /nowhere/],
    ['an unknown option', ['worker', '--concurency', '2'], {}, 2, /--concurrency/],
    ['an unknown command', ['wroker'], {}, 2, /worker/],
    ['arguments that are no JSON', ['call', 'tasks.add', '--args', '[1,'], {}, 2, /JSON/],
    ['a broker of another kind', ['call', 'tasks.add', '-b', 'redis://localhost'], {}, 78, /AMQP|amqp/],
    ['a broker that does not answer', ['call', 'tasks.add', '-b', 'amqp://127.0.0.1:1//'], {}, 69, /127\.0\.0\.1:1\b/],
  ] as const)('%s is one readable line with its exit code', async (_title, words, env, exitCode, cure) => {
    await using project = await tempProject({ 'tasks.ts': typed });
    const { code, stderr } = await project.run(words, env);
    expect(code, stderr).toBe(exitCode);
    expect(stderr.toLowerCase()).toMatch(/error: /);
    expect(stderr).toMatch(cure);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('a syntax error in the module names file and line', async () => {
    await using project = await tempProject({ 'tasks.ts': `${typed}\nexport const broken = (;\n` });
    const { code, stderr } = await project.run(['worker', '-A', 'tasks']);
    expect(code).toBe(78);
    expect(stderr).toMatch(/tasks\.ts:7:/);
    readable(stderr);
  });

  it('an unknown setting is named with its nearest', async () => {
    const source =
      "import { Celery } from 'celery-ts';\nexport const app = new Celery('tasks', { taskAckLate: true } as object);\n";
    await using project = await tempProject({ 'tasks.ts': source });
    const { code, stderr } = await project.run(['worker', '-A', 'tasks']);
    expect(code).toBe(78);
    expect(stderr).toContain("did you mean 'taskAcksLate'?");
    readable(stderr);
  });

  it('a wrong password is refused with 77', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.ts': typed });
    const url = new URL(broker.url);
    url.password = 'wrong';
    const { code, stderr } = await project.run(['worker', '-A', 'tasks', '-c', '1'], { CELERY_BROKER_URL: url.href });
    expect(code, stderr).toBe(77);
    expect(stderr).not.toContain(':wrong@');
    readable(stderr);
  });

  it('a vhost that does not exist is refused with 77', async ({ skip }) => {
    await using broker = await testBroker();
    skip(broker.kind === 'embedded', 'tested on RabbitMQ');
    await using project = await tempProject({ 'tasks.ts': typed });
    const url = new URL(broker.url);
    url.pathname = '/no-such-vhost';
    const { code, stderr } = await project.run(['worker', '-A', 'tasks', '-c', '1'], { CELERY_BROKER_URL: url.href });
    expect(code, stderr).toBe(77);
    expect(stderr).toContain('no-such-vhost');
    readable(stderr);
  });

  it('a queue that exists with other arguments is named with both values', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.ts': typed,
      'other.ts': `import { Celery, Queue } from 'celery-ts';
export const app = new Celery('other', { brokerUrl: process.env.CELERY_BROKER_URL, taskQueues: [new Queue('add', { maxPriority: 5 })] });
`,
    });
    const env = { CELERY_BROKER_URL: broker.url };
    expect((await project.run(['call', 'tasks.add', '--args', '[1, 2]'], env)).code).toBe(0);
    const { code, stderr } = await project.run(['worker', '-A', 'other', '-Q', 'add', '-c', '1'], env);
    expect(code, stderr).toBe(78);
    expect(stderr).toMatch(/'add'.*x-max-priority.*5/s);
    readable(stderr);
  });
});

/** Where tasks may live: modules that a worker imports by `include`, `imports`, `-I` and `autodiscoverTasks`, and shared tasks. */
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';

const app = (body: string, settings = ''): string => `import { Celery } from 'celery-ts';
export const app = new Celery('shop', { brokerUrl: process.env.BROKER, resultBackend: 'rpc://', ${settings} });
${body}
`;
const task = (name: string, from = '../app.ts'): string =>
  `import { app } from '${from}';\napp.task('${name}', () => '${name} ran');\n`;

/** Runs a worker on the files and gives what each task answers. */
async function answers(
  broker: TestBroker,
  files: Readonly<Record<string, string>>,
  names: readonly string[],
  args: readonly string[] = [],
): Promise<unknown[]> {
  await using project = await tempProject(files);
  await using worker = project.start(['worker', '-A', './app.ts', '-c', '1', '-l', 'INFO', ...args], {
    BROKER: broker.url,
  });
  await worker.line(/ready\./, 30);
  await using client = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
  const results: unknown[] = [];
  for (const name of names) results.push(await (await client.sendTask(name)).get({ timeout: 20 }));
  await worker.stop();
  return results;
}

describe('a worker', () => {
  it('imports what imports, include and -I name, by path, by name and from packages', async () => {
    await using broker = await testBroker();
    const files = {
      'app.ts': app('', "imports: ['jobs.mail'], include: ['./jobs/report.ts', 'shop-plugin']"),
      'jobs/mail.ts': task('mail'),
      'jobs/report.ts': task('report'),
      'jobs/extra.mts': task('extra'),
      'more.ts': task('more', './app.ts'),
      'node_modules/shop-plugin/package.json': '{ "name": "shop-plugin", "type": "module", "main": "./index.js" }',
      'node_modules/shop-plugin/index.js':
        "import { sharedTask } from 'celery-ts';\nexport const plugin = sharedTask('plugin', () => 'plugin ran');\n",
    };
    const names = ['mail', 'report', 'extra', 'more', 'plugin'];
    expect(await answers(broker, files, names, ['-I', 'jobs.extra,./more.ts'])).toEqual(
      names.map((name) => `${name} ran`),
    );
  });

  it('discovers the tasks of packages, also by another name, and shared tasks in them', async () => {
    await using broker = await testBroker();
    const files = {
      'app.ts': app("app.autodiscoverTasks(['billing', 'nothing']);\napp.autodiscoverTasks(() => ['mail'], 'jobs');"),
      'billing/tasks.ts': task('billing'),
      'nothing/index.ts': 'export const tasks = "none";',
      'mail/jobs.ts': `import { sharedTask, TaskBase } from 'celery-ts';
export const mail = sharedTask('mail', { bind: true }, (self) => \`\${self.name} ran\`);
`,
    };
    expect(await answers(broker, files, ['billing', 'mail'])).toEqual(['billing ran', 'mail ran']);
  });

  it.each([
    ["include: ['./job/mail.ts']", /Error: No module '\.\/job\/mail\.ts' found\. Tried: \.\/job\/mail\.ts/],
    ["imports: ['broken']", /Error: Cannot load \.\/broken\.ts/],
  ])('with %s that cannot be loaded says so and ends', async (settings, message) => {
    await using project = await tempProject({ 'app.ts': app('', settings), 'broken.ts': 'export const x = ;\n' });
    const { code, stderr } = await project.run(['worker', '-A', './app.ts'], { BROKER: 'amqp://127.0.0.1:1' });
    expect(stderr).toMatch(message);
    expect(code).toBe(78);
  });
});

describe('settings worth a remark', () => {
  it('are told once by a worker, and not by the commands that ask one', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'app.ts': app('', "CELERYD_POOL_PUTLOCKS: false, worker_agent: 'x:Y', taskAcksOnFailureOrTimeout: true"),
    });
    await using worker = project.start(['worker', '-A', './app.ts', '-P', 'solo'], { BROKER: broker.url });
    await worker.line(/ready\./, 30);
    await worker.stop();
    const records = worker.stderr.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
    const told = (sentence: string): unknown[] => records.filter(({ msg }) => msg.includes(sentence));
    expect(told('no effect')).toMatchObject([
      { level: 40, settings: { workerPoolPutlocks: expect.any(String), workerAgent: expect.any(String) } },
    ]);
    expect(told('a successor')).toMatchObject([
      { settings: { taskAcksOnFailureOrTimeout: expect.stringContaining('taskAcksOnFailure') } },
    ]);
    const report = await project.run(['report', '-A', './app.ts'], { BROKER: broker.url });
    expect(report.stderr).not.toContain('no effect');
  });
});

/** Beat from the command line, on a broker: beside a worker, twice, killed, listed, led. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';
import { beatLedger, beatTasks, proxyTo } from './beat-support.ts';

const threeEntries = beatTasks(`
  'add-every-half-second': { task: 'tasks.add', schedule: 0.5, args: [1, 1] },
  'monday-morning': { task: 'tasks.add', schedule: crontab({ hour: 7, minute: 30, dayOfWeek: 1 }), args: [16, 16] },
  'melbourne-sunset': { task: 'tasks.add', schedule: solar('sunset', -37.81753, 144.96715), args: [16, 16] },
`);
const everyHalfSecond = beatTasks(`'half': { task: 'tasks.add', schedule: 0.5, args: [1, 1] }`);

describe('celery-ts beat', () => {
  it('sends what a worker beside it runs, and leaves a file that tells of it', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': threeEntries });
    const env = { CELERY_BROKER_URL: broker.url };
    await using beat = project.start(['beat', '-A', 'tasks', '-s', './schedule.json', '-l', 'INFO'], env);
    await beat.line(/celery-ts beat v\S+ is starting/);
    await using worker = project.start(['worker', '-A', 'tasks', '-P', 'solo', '-l', 'INFO'], env);
    await until(() => worker.output.split('Task succeeded').length > 4, { what: 'four runs', withinSeconds: 20 });
    expect(beat.output).toMatch(/add-every-half-second.*Scheduler: Sending due task/);
    expect((await beat.stop()).code).toBe(0);
    const file = JSON.parse(await readFile(join(project.folder, 'schedule.json'), 'utf8'));
    expect(file.entries['add-every-half-second'].totalRunCount).toBeGreaterThanOrEqual(4);
    expect(file.entries['monday-morning']).toMatchObject({ lastRunAt: null, totalRunCount: 0 });
    expect((await worker.stop()).code).toBe(0);
  });

  it('lets one of two on one schedule file send; the other leaves with 73 and says why', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': everyHalfSecond });
    const env = { CELERY_BROKER_URL: broker.url };
    await using first = project.start(['beat', '-A', 'tasks', '-l', 'INFO'], env);
    await first.line(/Sending due task/);
    const second = await project.run(['beat', '-A', 'tasks'], env);
    expect(second.code).toBe(73);
    expect(second.stderr).toMatch(/Error: celerybeat-schedule is in use by process \d+ on .*--schedule/);
    expect(first.isRunning).toBe(true);
  });

  it('killed at any moment and started again sends no burst, and nothing twice but under one id', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': everyHalfSecond });
    const env = { CELERY_BROKER_URL: broker.url };
    let ledger: Awaited<ReturnType<typeof beatLedger>> | undefined;
    const downs: { from: number; to: number }[] = [];
    let killedAt: number | undefined;
    for (let round = 0; round < 4; round += 1) {
      await using beat = project.start(['beat', '-A', 'tasks', '-l', 'INFO'], env);
      await beat.line(/Sending due task/);
      if (killedAt !== undefined) downs.push({ from: killedAt, to: Date.now() });
      ledger ??= await beatLedger(broker.url);
      const before = ledger.all.length;
      await until(() => (ledger?.all.length ?? 0) > before + 2 + round, { what: 'some runs' });
      beat.signal('SIGKILL');
      await beat.ended;
      killedAt = Date.now() + 50; // what was on its way has come by then
    }
    if (ledger === undefined) throw new Error('no ledger');
    await using opened = ledger;
    for (const { from, to } of downs) {
      const soon = opened.all.filter(({ at }) => at >= from && at < to + 400);
      expect(soon.length).toBeLessThanOrEqual(2); // one late run, one of the grid
    }
    expect(opened.doubles.length).toBeLessThanOrEqual(3);
    const grid = opened.runs('half').map(({ due }) => due % 500);
    expect(new Set(grid).size).toBe(1); // the grid of the first start, kept over every restart
  });

  it('sends one late run, not ten, when the broker was away for ten periods', async () => {
    await using broker = await testBroker();
    await using proxy = await proxyTo(broker.url);
    await using project = await tempProject({ 'tasks.mjs': everyHalfSecond });
    await using beat = project.start(['beat', '-A', 'tasks', '-l', 'INFO'], { CELERY_BROKER_URL: proxy.url });
    await beat.line(/Sending due task/);
    await using ledger = await beatLedger(broker.url);
    await until(() => ledger.all.length >= 2, { what: 'two runs' });
    proxy.cut();
    const cutAt = Date.now();
    await until(() => Date.now() - cutAt > 5000, { what: 'ten periods' });
    const before = ledger.all.length;
    proxy.restore();
    await until(() => ledger.all.length >= before + 4, { what: 'runs after the outage', withinSeconds: 25 });
    const [late, ...more] = ledger.all.slice(before);
    expect((late?.at ?? 0) - (late?.due ?? 0)).toBeGreaterThan(4000); // the first that was due, under its own id
    expect(more.every(({ at, due }) => at - due < 1000)).toBe(true);
    expect(new Set(ledger.all.map(({ due }) => due % 500)).size).toBe(1);
  });

  it('prints each entry with its next five runs, in the zone of the app', async () => {
    await using project = await tempProject({
      'tasks.mjs': beatTasks(
        `
        'thirty': { task: 'tasks.add', schedule: 30.0 },
        'monday': { task: 'tasks.add', schedule: crontab({ hour: 7, minute: 30, dayOfWeek: 1 }) },
        'words': { task: 'tasks.add', schedule: '@daily' },
      `,
        `timezone: 'Asia/Shanghai'`,
      ),
    });
    const plain = await project.run(['beat', '-A', 'tasks', '--list']);
    expect([plain.code, plain.stderr]).toEqual([0, '']);
    expect(plain.stdout.match(/^ {4}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Asia\/Shanghai$/gm)).toHaveLength(15);
    expect(plain.stdout.match(/07:30:00 Asia\/Shanghai$/gm)).toHaveLength(5);
    expect(plain.stdout).toMatch(/^words {2}tasks.add {2}<cron: @daily> {2}\(not run yet\)$/m);
    const json = await project.run(['beat', '-A', 'tasks', '--list', '--json']);
    const rows: { name: string; next: string[] }[] = JSON.parse(json.stdout);
    expect(rows.map(({ name, next }) => [name, next.length])).toContainEqual(['monday', 5]);
    const gaps = rows.find(({ name }) => name === 'thirty')?.next.map((at) => Date.parse(at)) ?? [];
    expect(gaps.map((at, index) => at - (gaps[index - 1] ?? at - 30_000))).toEqual([
      30_000, 30_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('leaves with 77 when the broker refuses it, and waits for one that is not there', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': everyHalfSecond });
    const wrong = new URL(broker.url);
    wrong.password = 'wrong';
    for (const more of [[], ['--ha']]) {
      const refused = await project.run(['beat', '-A', 'tasks', '-q', ...more], { CELERY_BROKER_URL: wrong.href });
      expect([refused.code, refused.stderr.split('\n').at(-2)]).toEqual([77, expect.stringMatching(/^Error: /)]);
    }
    await using waiting = project.start(['beat', '-A', 'tasks'], { CELERY_BROKER_URL: 'amqp://127.0.0.1:1/' });
    await waiting.line(/The broker cannot be reached yet: beat waits for it/, 25);
    expect((await waiting.stop(20)).code).toBe(0);
  });

  it('refuses wrong entries all at once, with 78', async () => {
    await using project = await tempProject({
      'tasks.mjs': beatTasks(`
        a: { task: 'tasks.add', schedule: 'every day' },
        b: { task: 'tasks.add', schedule: 30, arg: [1] },
      `),
    });
    const { code, stderr } = await project.run(['beat', '-A', 'tasks']);
    expect(code).toBe(78);
    expect(stderr).toMatch(/Beat entry 'a': .*every day/);
    expect(stderr).toMatch(/Beat entry 'b': it has no field 'arg'; did you mean 'args'/);
  });

  it('runs a scheduler of the user instead of its own', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': beatTasks(''),
      'mine.mjs': `
export class Mine {
  constructor(context) { this.context = context; this.count = 0; }
  open() { this.entry = { name: 'own', task: 'tasks.add', args: [1, 2], kwargs: {}, options: {} }; }
  async tick() {
    this.count += 1;
    if (this.count === 2) throw new Error('the database is away');
    await this.context.host.send({ entry: this.entry, taskId: 'own-' + this.count, due: Date.now() });
    return 200;
  }
  close() { this.context.system.log.warn({ count: this.count }, 'Mine is closed'); }
}
export class NotMine {}
`,
    });
    const env = { CELERY_BROKER_URL: broker.url };
    await using beat = project.start(['beat', '-A', 'tasks', '-S', './mine.mjs:Mine'], env);
    await using ledger = await beatLedger(broker.url);
    await until(() => ledger.all.length >= 3, { what: 'three runs' });
    expect(ledger.all.slice(0, 3).map(({ id, entry }) => [id, entry])).toEqual([
      ['own-1', 'own'],
      ['own-3', 'own'],
      ['own-4', 'own'],
    ]);
    expect((await beat.stop()).code).toBe(0);
    expect(beat.output).toMatch(/the database is away/);
    expect(beat.output).toMatch(/Mine is closed/);
    const wrong = await project.run(['beat', '-A', 'tasks', '-S', './mine.mjs:NotMine'], env);
    expect([wrong.code, wrong.stderr]).toEqual([
      78,
      expect.stringMatching(/no class with the methods open, tick and close/),
    ]);
  });

  it('goes by the settings, and by the command line before them', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': beatTasks(
        `'half': { task: 'tasks.add', schedule: 0.5, args: [1, 1] }`,
        `beatScheduleFilename: 'kept.json', beatPidfile: 'kept.pid', beatMaxLoopInterval: 7, beatScheduler: './mine.mjs:Mine'`,
      ),
      'mine.mjs': `
export class Mine {
  constructor(context) { console.log('Mine keeps its state in', context.scheduleFile, 'every', context.host.settings.maxIntervalSeconds); }
  open() {}
  tick() { return 1000; }
  close() {}
}`,
    });
    const env = { CELERY_BROKER_URL: broker.url };
    await using configured = project.start(['beat', '-A', 'tasks'], env);
    await configured.line(/Mine keeps its state in kept.json every 7/);
    expect(configured.stdout).toMatch(/\. maxinterval -> 7 s/);
    await until(() => readFile(join(project.folder, 'kept.pid'), 'utf8'), { what: 'the pid file of the settings' });
    expect((await configured.stop()).code).toBe(0);

    const flags = ['-S', 'persistent', '-s', 'other.json', '--max-interval', '9', '--pidfile', 'other.pid'];
    await using flagged = project.start(['beat', '-A', 'tasks', ...flags], env);
    await flagged.line(/\. maxinterval -> 9 s/);
    await until(() => readFile(join(project.folder, 'other.json'), 'utf8'), { what: 'the schedule file of the flags' });
    expect(await readFile(join(project.folder, 'other.pid'), 'utf8')).toMatch(new RegExp(`^${flagged.pid}\\n`));
    await using ledger = await beatLedger(broker.url);
    await until(() => ledger.all.length > 1, { what: 'two runs' });
    expect(flagged.stderr).toBe(''); // the default log level is WARNING
    expect((await flagged.stop()).code).toBe(0);
    await expect(readFile(join(project.folder, 'kept.json'))).rejects.toThrow(/ENOENT/);
  });

  it('keeps a pid file that a recycled pid, a link or garbage does not fool', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': everyHalfSecond });
    const env = { CELERY_BROKER_URL: broker.url };
    const pidfile = join(project.folder, 'beat.pid');
    const args = ['beat', '-A', 'tasks', '--pidfile', 'beat.pid', '-l', 'INFO'];
    const precious = join(project.folder, 'precious');
    await writeFile(precious, 'precious');
    for (const spoil of [
      () => writeFile(pidfile, 'garbage'),
      () => writeFile(pidfile, `${process.pid}\nanother boot 1\n`),
      () => symlink(precious, pidfile),
    ]) {
      await spoil();
      await using beat = project.start(args, env);
      await beat.line(/Sending due task/);
      expect((await readFile(pidfile, 'utf8')).split('\n')[0]).toBe(String(beat.pid));
      const second = await project.run(['beat', '-A', 'tasks', '--pidfile', 'beat.pid', '-s', 'other'], env);
      expect([second.code, second.stderr]).toEqual([
        73,
        expect.stringMatching(new RegExp(`belongs to process ${beat.pid}, which is running`)),
      ]);
      expect((await beat.stop()).code).toBe(0);
      await expect(readFile(pidfile, 'utf8')).rejects.toThrow(/ENOENT/);
    }
    expect(await readFile(precious, 'utf8')).toBe('precious');
    await mkdir(join(project.folder, 'folder'));
    const nowhere = await project.run(['beat', '-A', 'tasks', '--pidfile', 'no/such/beat.pid'], env);
    expect([nowhere.code, nowhere.stderr]).toEqual([73, expect.stringMatching(/cannot be made/)]);
  });

  it('runs in the background when asked to, and ends by its pid file', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': everyHalfSecond });
    const env = { CELERY_BROKER_URL: broker.url };
    const started = await project.run(
      ['beat', '-A', 'tasks', '--detach', '--pidfile', 'beat.pid', '-f', 'beat.log', '-l', 'INFO'],
      env,
    );
    expect([started.code, started.stderr]).toEqual([0, '']);
    const pid = Number((await readFile(join(project.folder, 'beat.pid'), 'utf8')).split('\n')[0]);
    const log = () => readFile(join(project.folder, 'beat.log'), 'utf8');
    await until(async () => (await log()).includes('Sending due task'), { what: 'a run' });
    process.kill(pid, 'SIGTERM');
    await until(() => !isAlive(pid), { what: 'the end of the detached beat' });
    await expect(readFile(join(project.folder, 'beat.pid'))).rejects.toThrow(/ENOENT/);
    const failed = await project.run(['beat', '-A', 'nothing', '--detach', '-f', 'beat.log'], env);
    expect([failed.code, failed.stderr]).toEqual([78, expect.stringMatching(/^Error: No app found for -A nothing/)]);
  });
});

describe('celery-ts worker -B', () => {
  it('sends and runs in one process, announces both signals and saves when it stops', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': `${everyHalfSecond}
app.signals.beatInit.connect(() => console.log('beatInit'));
app.signals.beatEmbeddedInit.connect(() => console.log('beatEmbeddedInit'));
`,
    });
    const env = { CELERY_BROKER_URL: broker.url };
    await using worker = project.start(
      ['worker', '-B', '-s', 'schedule.json', '-A', 'tasks', '-P', 'solo', '-l', 'INFO'],
      env,
    );
    await until(() => worker.output.split('Task succeeded').length > 2, { what: 'two runs', withinSeconds: 20 });
    expect(worker.stdout).toMatch(/beatInit\nbeatEmbeddedInit/);
    expect((await worker.stop()).code).toBe(0);
    const file = JSON.parse(await readFile(join(project.folder, 'schedule.json'), 'utf8'));
    expect(file.entries.half.totalRunCount).toBeGreaterThanOrEqual(2);
  });
});

describe('celery-ts beat --ha', () => {
  it('lets one of three lead, and the next when it is killed: no run is missed, doubles carry one id', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.mjs': everyHalfSecond });
    const env = { CELERY_BROKER_URL: broker.url };
    const start = () => project.start(['beat', '-A', 'tasks', '--ha', '-l', 'INFO'], env);
    const beats = [start()];
    await beats[0]?.line(/This beat leads/);
    beats.push(start(), start());
    await beats[1]?.line(/Another beat leads/);
    await beats[2]?.line(/Another beat leads/);
    await using ledger = await beatLedger(broker.url);
    for (let kill = 0; kill < 4; kill += 1) {
      const before = ledger.all.length;
      await until(() => ledger.all.length >= before + 3, { what: 'three runs', withinSeconds: 15 });
      const leader = beats.find((beat) => beat.isRunning && leads(beat.output));
      if (leader === undefined) throw new Error('nobody leads');
      leader.signal('SIGKILL');
      await leader.ended;
      beats.push(start());
    }
    const before = ledger.all.length;
    await until(() => ledger.all.length >= before + 3, { what: 'three runs', withinSeconds: 15 });
    await Promise.all(
      beats.filter((beat) => beat.isRunning).map((beat) => beat.line(/This beat leads|Another beat leads/)),
    );
    for (const beat of beats) beat.signal('SIGTERM');
    const ends = await Promise.all(beats.map(({ ended }) => ended));
    expect(ends.filter(({ signal }) => signal !== 'SIGKILL').map(({ code, signal }) => [code, signal])).toEqual([
      [0, undefined],
      [0, undefined],
      [0, undefined],
    ]);
    const runs = ledger.runs('half');
    const gaps = runs.slice(1).map(({ due }, index) => due - (runs[index]?.due ?? 0));
    expect(
      gaps.every((gap) => gap === 500),
      gaps.join(' '),
    ).toBe(true);
    // A killed leader may have sent what it had not noted yet: a run or two each time.
    expect(ledger.doubles.length).toBeLessThanOrEqual(12);
    expect(Math.max(...runs.map(({ at, due }) => at - due))).toBeLessThan(15_000);
  });
});

function leads(output: string): boolean {
  return output.includes('This beat leads');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

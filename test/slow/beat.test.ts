/**
 * Beat under the numbers of its promises: two hundred kills while the schedule file is written, a full disk, ten
 * thousand entries, a thousand periods under load, twenty dead leaders in a minute. About four minutes.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileStore } from '../../src/beat/index.ts';
import { readSavedSchedule, type SavedEntry, type SavedSchedule } from '../../src/beat/saved-schedule.ts';
import { Saver } from '../../src/beat/saver.ts';
import { nodeSystem } from '../../src/core/system.ts';
import { beatLedger, beatTasks } from '../integration/beat-support.ts';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { tempProject } from '../support/cli.ts';
import { testLogger } from '../support/logger.ts';
import { Program } from '../support/process.ts';
import { canMount, smallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

describe('the schedule file', () => {
  it('is whole after each of 200 kills while it is written, and never older than it was', {
    timeout: 300_000,
  }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'celery-ts-kills-'));
    const path = join(folder, 'schedule.json');
    const program = `
      import { FileStore } from ${JSON.stringify(join(root, 'dist/beat/store.js'))};
      import { nodeSystem } from ${JSON.stringify(join(root, 'dist/core/system.js'))};
      const term = await new FileStore(${JSON.stringify(path)}, nodeSystem()).open();
      let count = term.saved?.entries.get('e0')?.totalRunCount ?? 0;
      console.log('open');
      for (;;) {
        count += 1;
        const entry = { task: 't', schedule: { kind: 'interval', seconds: 1 }, lastRunAt: count, countedFrom: count, totalRunCount: count, isPaused: false };
        const entries = new Map(Array.from({ length: 300 }, (_, index) => ['e' + index, entry]));
        await term.save({ timeZone: 'UTC', savedAt: count, lived: [], entries });
      }`;
    let latest = 0;
    let mixed = 0;
    for (let kill = 0; kill < 200; kill += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, (kill * 37) % 61)); // any moment of some writes
      child.kill('SIGKILL');
      await ended;
      const text = await readFile(path, 'utf8').catch(() => undefined);
      if (text === undefined) continue; // killed before the first write had ended
      const read = readSavedSchedule(text) ?? expect.fail(`not whole after kill ${kill}`);
      const counts = new Set([...read.schedule.entries.values()].map(({ totalRunCount }) => totalRunCount));
      if (counts.size !== 1 || read.schedule.entries.size !== 300 || read.unread.length > 0) mixed += 1;
      const [count = 0] = counts;
      expect(count).toBeGreaterThanOrEqual(latest);
      latest = count;
    }
    expect(mixed).toBe(0);
    expect(latest).toBeGreaterThan(200);
    await rm(folder, { recursive: true });
  });

  it.runIf(canMount)('on a disk of 16 KiB that fills up stays as it was; the beat says so and recovers', async () => {
    await using disk = await smallDisk(16);
    const { log, find } = testLogger();
    const system = nodeSystem({ log });
    const file = join(disk.folder, 's');
    const term = await new FileStore(file, system).open();
    let size = 10;
    const saver = new Saver({ system, delayMs: 0, restFactor: 0, save: () => term.save(scheduleOf(size)) });
    saver.changed();
    await saver.flush();
    const good = await readFile(file, 'utf8');
    size = 500;
    for (let round = 0; round < 5; round += 1) {
      saver.changed();
      await saver.flush();
    }
    expect(await readFile(file, 'utf8')).toBe(good);
    expect(find('The schedule cannot be saved')).toMatchObject([{ level: 'error', err: { code: 'ENOSPC' } }]);
    size = 11;
    saver.changed();
    await saver.flush();
    expect(readSavedSchedule(await readFile(file, 'utf8'))?.schedule.entries.size).toBe(11);
    expect(find('The schedule is saved again')).toHaveLength(1);
    await saver.close();
    await term.close();
  });
});

describe('ten thousand entries', () => {
  it('cost less than 5 % of a core while idle, and what is due goes out within 100 ms', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': `${beatTasks('')}
for (let index = 0; index < 10000; index += 1) {
  app.addPeriodicTask(crontab({ minute: index % 60, hour: index % 24, dayOfMonth: 1 + (index % 28), monthOfYear: 1 + (index % 12) }), add, { name: 'rare-' + index });
}
for (let index = 0; index < 10; index += 1) app.addPeriodicTask(2 + index / 10, add, { name: 'often-' + index });
`,
    });
    await using beat = project.start(['beat', '-A', 'tasks', '-l', 'INFO'], { CELERY_BROKER_URL: broker.url });
    await beat.line(/Sending due task/);
    await using ledger = await beatLedger(broker.url);
    await until(() => ledger.all.length > 10, { what: 'it to be under way' });
    const [cpuBefore, from] = [await cpuSeconds(beat.pid), performance.now()];
    const before = ledger.all.length;
    await until(() => ledger.all.length > before + 80, { what: 'eighty runs', withinSeconds: 40 });
    const seconds = (performance.now() - from) / 1000;
    const share = ((await cpuSeconds(beat.pid)) - cpuBefore) / seconds;
    const late = Math.max(...ledger.all.slice(before).map(({ at, due }) => at - due));
    console.log(
      `10,000 entries: ${(share * 100).toFixed(1)} % of a core over ${seconds.toFixed(0)} s, latest ${late} ms`,
    );
    expect(share).toBeLessThan(0.05);
    expect(late).toBeLessThan(100);
  });
});

describe('an interval', () => {
  it('is within 100 ms of start + n × period over a thousand periods, under load', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': beatTasks(`'tick': { task: 'tasks.add', schedule: 0.05 }`),
    });
    await using _load = new Program(process.execPath, ['-e', 'for (;;) Math.sqrt(2);'], { cwd: project.folder });
    await using timer = new Program(process.execPath, ['-e', bareTimer], { cwd: project.folder });
    await using beat = project.start(['beat', '-A', 'tasks', '-l', 'INFO'], { CELERY_BROKER_URL: broker.url });
    await beat.line(/Sending due task/);
    // When beat sent each, by its own log: the broker's and the test's own waiting for a processor is not its lateness.
    const runs = (): { due: number; at: number }[] =>
      beat.output
        .split('\n')
        .filter((line) => line.includes('Sending due task'))
        .map((line) => JSON.parse(line) as { due: string; time: string })
        .map(({ due, time }) => ({ due: Date.parse(due), at: Date.parse(time) }));
    await until(() => runs().length > 1020, { what: 'a thousand runs', withinSeconds: 90, everyMs: 1000 });
    const thousand = runs().slice(20, 1020);
    const late = thousand.map(({ at, due }) => at - due);
    // A machine that others keep busy wakes nobody in time: a bare timer beside beat tells how late that is.
    const machine = Number((await timer.stop()).stdout.trim().split('\n').at(-1));
    const latest = Math.max(...late);
    const median = late.toSorted((a, b) => a - b)[500];
    console.log(`1,000 periods of 50 ms: latest ${latest} ms, median ${median} ms; a bare timer: latest ${machine} ms`);
    const start = thousand[0]?.due ?? 0;
    expect(thousand.map(({ due }) => due - start)).toEqual(Array.from({ length: 1000 }, (_, index) => index * 50));
    expect(median).toBeLessThan(20);
    expect(latest - machine).toBeLessThan(100);
  });
});

/** Wakes every 50 ms and prints its greatest lateness so far, once a second. */
const bareTimer = `
  const start = performance.now();
  let count = 0, latest = 0;
  const wait = () => {
    count += 1;
    const due = start + count * 50;
    setTimeout(() => {
      latest = Math.max(latest, performance.now() - due);
      if (count % 20 === 0) console.log(Math.round(latest));
      wait();
    }, Math.max(0, due - performance.now()));
  };
  wait();`;

describe('leaders', () => {
  it('that die twenty times in a minute cost no run; doubles carry one id', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': beatTasks(
        `'half': { task: 'tasks.add', schedule: 0.5 }, 'second': { task: 'tasks.add', schedule: '* * * * * *' }`,
      ),
    });
    const env = { CELERY_BROKER_URL: broker.url };
    const beats: Program[] = [];
    const start = (): void => {
      beats.push(project.start(['beat', '-A', 'tasks', '--ha', '-l', 'INFO'], env));
    };
    start();
    await beats[0]?.line(/Sending due task/);
    start();
    await using ledger = await beatLedger(broker.url);
    try {
      for (let kill = 0; kill < 20; kill += 1) {
        const at = Date.now() + 3000;
        await until(() => Date.now() >= at && beats.some((beat) => beat.isRunning && isLeading(beat)), {
          what: 'the next leader',
          withinSeconds: 20,
        }).catch((error: unknown) => {
          const outputs = beats.filter((beat) => beat.isRunning).map(({ pid, output }) => `${pid}: ${output}`);
          throw new Error(`Nobody leads after kill ${kill}.\n${outputs.join('\n')}`, { cause: error });
        });
        const leader = beats.find((beat) => beat.isRunning && isLeading(beat));
        leader?.signal('SIGKILL');
        await leader?.ended;
        start();
      }
      const before = ledger.all.length;
      await until(() => ledger.all.length > before + 6, { what: 'runs after the last kill', withinSeconds: 20 });
      const ids = new Map(ledger.all.map(({ id, entry, due }) => [id, `${entry} ${due}`]));
      expect(new Set(ids.values()).size).toBe(ids.size); // one id for one run, and the other way round
      for (const [entry, period] of [
        ['half', 500],
        ['second', 1000],
      ] as const) {
        const runs = ledger.runs(entry);
        const gaps = runs.slice(1).map(({ due }, index) => due - (runs[index]?.due ?? 0));
        const late = Math.max(...runs.map(({ at, due }) => at - due));
        console.log(
          `${entry}: ${runs.length} runs, ${gaps.filter((gap) => gap !== period).length} gaps, latest ${late} ms`,
        );
        expect(gaps.filter((gap) => gap !== period)).toEqual([]);
      }
      console.log(`${ledger.doubles.length} doubles in 20 kills`);
      expect(ledger.doubles.length).toBeLessThanOrEqual(40); // one for each entry and kill
    } finally {
      for (const beat of beats) beat.signal('SIGKILL');
      await Promise.all(beats.map(({ ended }) => ended));
    }
  });
});

describe('a leader that is frozen', () => {
  it('is replaced when its heartbeats have failed, and leads no more when it thaws', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': beatTasks(`'second': { task: 'tasks.add', schedule: 1 }`, 'brokerHeartbeat: 2'),
    });
    const env = { CELERY_BROKER_URL: broker.url };
    await using first = project.start(['beat', '-A', 'tasks', '--ha', '-l', 'INFO'], env);
    await first.line(/Sending due task/);
    await using second = project.start(['beat', '-A', 'tasks', '--ha', '-l', 'INFO'], env);
    await second.line(/Another beat leads/);
    await using ledger = await beatLedger(broker.url);
    first.signal('SIGSTOP');
    const frozenAt = performance.now();
    await second.line(/This beat leads/, 30);
    console.log(`a frozen leader was replaced after ${Math.round(performance.now() - frozenAt)} ms`);
    expect(performance.now() - frozenAt).toBeLessThan(10_000);
    const before = ledger.all.length;
    await until(() => ledger.all.length > before + 3, { what: 'the second to send' });
    first.signal('SIGCONT');
    await first.line(/may not send any more|lost its place/, 30);
    const thawed = ledger.all.length;
    await until(() => ledger.all.length > thawed + 4, { what: 'more runs' });
    const runs = ledger.runs('second');
    const gaps = runs.slice(1).map(({ due }, index) => due - (runs[index]?.due ?? 0));
    expect(gaps.filter((gap) => gap !== 1000)).toEqual([]);
    expect(ledger.doubles.length).toBeLessThanOrEqual(2);
    expect((await first.stop()).code).toBe(0);
    expect((await second.stop()).code).toBe(0);
  });
});

function isLeading(beat: Program): boolean {
  return beat.output.includes('This beat leads');
}

/** User and system time of a process, seconds. Linux. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function scheduleOf(size: number): SavedSchedule {
  const entry: SavedEntry = {
    task: 't',
    schedule: { kind: 'interval', seconds: 1 },
    lastRunAt: 1,
    countedFrom: 1,
    totalRunCount: 1,
    isPaused: false,
  };
  return {
    timeZone: 'UTC',
    savedAt: 1,
    lived: [],
    entries: new Map(Array.from({ length: size }, (_, index) => [`e${index}`, entry])),
  };
}

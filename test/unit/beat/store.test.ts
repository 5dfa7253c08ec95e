/** The schedule file and its lock, on a real disk (faults.md, section 6). */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileLock } from '../../../src/beat/file-lock.ts';
import { CannotCreateFile, FileInUse, FileStore } from '../../../src/beat/index.ts';
import {
  readSavedSchedule,
  type SavedEntry,
  type SavedSchedule,
  writeSchedule,
} from '../../../src/beat/saved-schedule.ts';
import { startOf } from '../../../src/core/process-identity.ts';
import { nodeSystem, type System } from '../../../src/core/system.ts';
import { type TestLogger, testLogger } from '../../support/logger.ts';

let folder = '';
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'celery-ts-store-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the schedule file', () => {
  it('gives back what was saved, and is written for people', async () => {
    const { path, store } = aStore();
    const term = await store.open();
    expect(term.saved).toBeUndefined();
    await term.save(aSchedule());
    await term.close();
    const again = await store.open();
    expect(again.saved).toEqual(aSchedule());
    await again.close();
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      format: 'celery-ts beat schedule',
      version: 1,
      timeZone: 'Europe/Berlin',
      savedAt: '2026-03-10T10:00:00.000Z',
      lived: [[null, '2026-03-10T11:00:00.000Z']],
      entries: {
        nightly: {
          task: 'tasks.report',
          schedule: { kind: 'crontab', minute: '0' },
          lastRunAt: '2026-03-10T09:00:00.001Z',
          countedFrom: '2026-03-10T09:00:00.000Z',
          totalRunCount: 12,
          paused: true,
        },
        ['__proto__']: expect.objectContaining({ lastRunAt: null, totalRunCount: 0 }),
      },
    });
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(
      await readdir(join(path, '..')).then((names) => names.filter((name) => name.startsWith(`s${count}`))),
    ).toEqual([`s${count}`]);
  });

  it('that is no schedule of ours is renamed aside with a warning, and everything begins now', async () => {
    const good = writeSchedule(aSchedule());
    const cases: readonly (readonly [string, string | Buffer])[] = [
      ['empty', ''],
      ['garbage', Buffer.from([0, 255, 1, 254, 13, 10, 7])],
      ['truncated', good.slice(0, good.length / 2)],
      ['an older version', good.replace('"version": 1', '"version": 0')],
      ['a later version', good.replace('"version": 1', '"version": 2')],
      ['another JSON file', '{"entries": {}}'],
      ['a list', '[1, 2]'],
    ];
    for (const [what, content] of cases) {
      const { path, store, logger } = aStore();
      await writeFile(path, content);
      const term = await store.open();
      expect(term.saved, what).toBeUndefined();
      expect(logger.find('none of ours: renamed aside'), what).toMatchObject([{ level: 'warn', file: path }]);
      const aside = logger.records[0]?.aside;
      expect(await readFile(String(aside)), what).toEqual(Buffer.from(content));
      await term.save(aSchedule());
      expect(readSavedSchedule(await readFile(path, 'utf8'))?.unread, what).toEqual([]);
      await term.close();
    }
  });

  it('that is a link is renamed aside, not followed', async () => {
    const { path, store } = aStore();
    const target = join(folder, 'precious');
    await writeFile(target, 'precious');
    await symlink(target, path);
    const term = await store.open();
    await term.save(aSchedule());
    await term.close();
    expect(await readFile(target, 'utf8')).toBe('precious');
    expect(readSavedSchedule(await readFile(path, 'utf8'))).toBeDefined();
  });

  it('keeps the entries that make sense', async () => {
    const { path, store, logger } = aStore();
    const document = JSON.parse(writeSchedule(aSchedule()));
    document.entries.broken = { task: 5 };
    document.entries.undated = { ...document.entries.nightly, countedFrom: 'yesterday' };
    document.entries.negative = { ...document.entries.nightly, totalRunCount: -1 };
    await writeFile(path, JSON.stringify(document));
    const term = await store.open();
    expect(term.saved?.entries.get('nightly')?.totalRunCount).toBe(12);
    expect(logger.find('make no sense')).toMatchObject([{ entries: ['broken', 'undated', 'negative'] }]);
    await term.close();
  });

  it('survives a write that fails, as it was', async () => {
    const { path, store } = aStore();
    const term = await store.open();
    await term.save(aSchedule());
    const before = await readFile(path, 'utf8');
    await writeFile(`${path}.tmp`, 'left by a crash');
    const blocked = join(`${path}.tmp`);
    await rm(blocked);
    await symlink(join(folder, 'elsewhere'), blocked); // planted: removed, not followed
    await term.save({ ...aSchedule(), timeZone: 'UTC' });
    expect(await readFile(path, 'utf8')).toBe(before.replace('Europe/Berlin', 'UTC'));
    await expect(stat(join(folder, 'elsewhere'))).rejects.toThrow(/ENOENT/);
    await term.close();
  });

  it('in a folder that is not there is an error at start that names the cure', async () => {
    const store = new FileStore(join(folder, 'no', 'such', 'file'), nodeSystem());
    await expect(store.open()).rejects.toThrow(CannotCreateFile);
    await expect(store.open()).rejects.toThrow(/there is no folder .*Make it, or name another file/);
  });

  it.runIf(process.platform === 'linux')('on a disk that cannot be written is kept in memory, and told', async () => {
    const logger = testLogger();
    const term = await new FileStore('/sys/celerybeat-schedule', nodeSystem({ log: logger.log })).open();
    expect(logger.find('cannot be written: beat keeps its state in memory')).toHaveLength(1);
    await expect(term.save(aSchedule())).rejects.toThrow(/EACCES|EROFS|EPERM/);
    await term.close();
  });
});

describe('the lock of the schedule file', () => {
  it('keeps a second beat out, naming the first', async () => {
    const { path, store } = aStore();
    const term = await store.open();
    const second = new FileStore(path, nodeSystem());
    await expect(second.open()).rejects.toThrow(FileInUse);
    await expect(second.open()).rejects.toThrow(new RegExp(`in use by process ${process.pid} on .*--schedule`));
    await term.close();
    await (await second.open()).close();
  });

  it('lets one of many in', async () => {
    const { path } = aStore();
    const tries = await Promise.allSettled(
      Array.from({ length: 12 }, () => FileLock.acquire(`${path}.lock`, nodeSystem())),
    );
    const taken = tries.filter(({ status }) => status === 'fulfilled');
    expect(taken).toHaveLength(1);
  });

  it('of a process that is gone is taken over, by one of many', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    const pid = child.pid ?? 0;
    await new Promise((resolve) => child.once('exit', resolve));
    const { path } = aStore();
    await writeFile(`${path}.lock`, holder({ pid }));
    const tries = await Promise.allSettled(
      Array.from({ length: 12 }, () => FileLock.acquire(`${path}.lock`, nodeSystem())),
    );
    const taken = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(taken).toHaveLength(1);
    expect(await taken[0]?.isOurs()).toBe(true);
    expect((await readdir(folder)).filter((name) => name.startsWith(`s${count}.lock.`))).toEqual([]);
  });

  it('of a pid that another process got since is taken over', async () => {
    const { path, store } = aStore();
    await writeFile(`${path}.lock`, holder({ pid: process.pid, start: 'another boot 1' }));
    await (await store.open()).close();
  });

  it('of a pid that is still the same process is respected', async () => {
    const { path, store } = aStore();
    await writeFile(`${path}.lock`, holder({ pid: process.pid, start: (await startOf(process.pid)) ?? null }));
    await expect(store.open()).rejects.toThrow(FileInUse);
  });

  it('of another host counts while it is touched, and not for ever', async () => {
    const { path, store } = aStore();
    await writeFile(`${path}.lock`, holder({ host: 'elsewhere.example' }));
    await expect(store.open()).rejects.toThrow(/on elsewhere.example/);
    const longAgo = new Date(Date.now() - 600_000);
    await utimes(`${path}.lock`, longAgo, longAgo);
    await (await store.open()).close();
  });

  it('that is garbage or a link does not keep anybody out', async () => {
    for (const spoil of [
      (path: string) => writeFile(path, 'garbage'),
      (path: string) => symlink('/nowhere', path),
      (path: string) => writeFile(path, '{"pid": -1, "host": "x", "token": "y"}'),
    ]) {
      const { path, store } = aStore();
      await spoil(`${path}.lock`);
      const term = await store.open();
      await term.save(aSchedule());
      await term.close();
      await expect(stat(`${path}.lock`)).rejects.toThrow(/ENOENT/);
    }
  });

  it('that is removed by hand comes back; one taken by another ends the term and is left alone', async () => {
    const { path, store } = aStore();
    const term = await store.open();
    await rm(`${path}.lock`);
    await term.save(aSchedule());
    expect(term.ended.aborted).toBe(false);
    expect(JSON.parse(await readFile(`${path}.lock`, 'utf8'))).toMatchObject({ pid: process.pid });
    const before = await readFile(path, 'utf8');
    await writeFile(`${path}.lock`, holder({ pid: 1, token: 'theirs' }));
    await term.save({ ...aSchedule(), timeZone: 'UTC' });
    expect(term.ended.aborted).toBe(true);
    expect(await readFile(path, 'utf8')).toBe(before);
    await term.close();
    expect(JSON.parse(await readFile(`${path}.lock`, 'utf8'))).toMatchObject({ token: 'theirs' });
  });
});

function aStore(): { path: string; store: FileStore; logger: TestLogger; system: System } {
  count += 1;
  const path = join(folder, `s${count}`);
  const logger = testLogger();
  const system = nodeSystem({ log: logger.log });
  return { path, store: new FileStore(path, system), logger, system };
}

function holder(fields: { pid?: number; start?: string | null; host?: string; token?: string }): string {
  return JSON.stringify({ pid: 1, start: null, host: hostname(), token: 'a', ...fields });
}

function aSchedule(): SavedSchedule {
  const entry = {
    task: 'tasks.report',
    schedule: { kind: 'crontab', minute: '0' },
    lastRunAt: Date.parse('2026-03-10T09:00:00.001Z'),
    countedFrom: Date.parse('2026-03-10T09:00:00Z'),
    totalRunCount: 12,
    isPaused: true,
  };
  return {
    timeZone: 'Europe/Berlin',
    savedAt: Date.parse('2026-03-10T10:00:00Z'),
    lived: [{ from: null, to: Date.parse('2026-03-10T11:00:00Z') }],
    entries: new Map<string, SavedEntry>([
      ['nightly', entry],
      ['__proto__', { ...entry, lastRunAt: undefined, totalRunCount: 0, isPaused: false }],
    ]),
  };
}

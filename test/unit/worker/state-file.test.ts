/** `--statedb`: what a worker remembers over a restart. */
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogicalClock } from '../../../src/core/logical-clock.ts';
import { nodeSystem } from '../../../src/core/system.ts';
import { Revoked, revokedOptions } from '../../../src/worker/revoked.ts';
import { StateFile } from '../../../src/worker/state-file.ts';
import { testLogger } from '../../support/logger.ts';
import { manualSystem } from '../../support/manual-system.ts';
import { until } from '../../support/until.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'celery-ts-state-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const logger = testLogger();
const system = nodeSystem({ log: logger.log });

async function aWorker(revoked = new Revoked()) {
  const clock = new LogicalClock();
  const file = await StateFile.open({ path: join(folder, 'state.json'), revoked, clock, system });
  return { clock, file, revoked };
}

describe('a state file', () => {
  it('keeps revoked ids with their times, stamps and the clock', async () => {
    const before = await aWorker();
    before.revoked.add(['old'], system.now() - 60_000);
    before.revoked.add(['new'], system.now());
    before.revoked.addStamps({ who: ['me', 7] });
    before.clock.adjust(41);
    await before.file.close();

    const after = await aWorker(new Revoked({ expireSeconds: 30 }));
    expect(after.revoked.entries(system.now()).map(([id]) => id)).toEqual(['new']);
    expect(after.revoked.stamps()).toEqual({ who: ['me', 7] });
    expect(after.clock.value).toBeGreaterThan(42);
    await after.file.close();
  });

  it('is written soon after a revocation, so that a kill forgets little', async () => {
    const { file, revoked } = await aWorker();
    revoked.add(['a'], system.now());
    await until(async () => (await readFile(join(folder, 'state.json'), 'utf8')).includes('"a"'), { what: 'the save' });
    await file.close();
    expect(await readdir(folder)).toEqual(['state.json']);
  });

  it('that is none of ours is renamed aside and said', async () => {
    await writeFile(join(folder, 'state.json'), '{"version":1');
    const { file } = await aWorker();
    await file.close();
    expect((await readdir(folder)).sort()).toEqual(['state.json', expect.stringMatching(/^state\.json\.unreadable-/)]);
    expect(logger.find('none of ours')).toHaveLength(1);
  });

  it('that is a symbolic link is renamed aside; what it points at is neither read nor written', async () => {
    const target = join(folder, 'precious');
    const text = JSON.stringify({ version: 1, clock: 7, revoked: { theirs: system.now() }, stamps: {} });
    await writeFile(target, text);
    await symlink(target, join(folder, 'state.json'));
    const { file, revoked } = await aWorker();
    revoked.add(['ours'], system.now());
    await file.close();
    expect(await readFile(target, 'utf8')).toBe(text);
    expect(revoked.entries(system.now()).map(([id]) => id)).toEqual(['ours']);
    expect((await lstat(join(folder, 'state.json'))).isFile()).toBe(true);
    expect(logger.find('none of ours').at(-1)).toMatchObject({ why: expect.stringMatching(/symbolic link/) });
  });

  it('on a disk that takes no more is tried each time and said once a minute, and again when it is well', async () => {
    const clocked = manualSystem();
    const revoked = new Revoked();
    const path = join(folder, 'disk', 'state.json');
    await mkdir(join(folder, 'disk'));
    const file = await StateFile.open({ path, revoked, clock: new LogicalClock(), system: clocked });
    await rm(join(folder, 'disk'), { recursive: true });
    const failures = () => clocked.logger.find('could not be saved');
    for (let second = 0; second < 59; second += 1) {
      await file.save();
      await clocked.advance(1000);
    }
    expect(failures()).toMatchObject([{ level: 'error', err: { code: 'ENOENT' } }]);
    await clocked.advance(1000);
    await file.save();
    expect(failures()).toHaveLength(2);
    await mkdir(join(folder, 'disk'));
    await file.save();
    await file.close();
    expect(clocked.logger.find('is saved again')).toHaveLength(1);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ version: 1 });
  });

  it('that cannot be written stops the start and says what to do', async () => {
    const path = join(folder, 'nowhere', 'state.json');
    const opening = StateFile.open({ path, revoked: new Revoked(), clock: new LogicalClock(), system });
    await expect(opening).rejects.toThrow(/state\.json cannot be used: .*ENOENT.* \(--statedb\)/);
  });

  it('forgets the oldest ids beyond the number that is kept, which the environment says', async () => {
    const before = await aWorker();
    for (const [index, id] of ['a', 'b', 'c'].entries()) before.revoked.add([id], system.now() - 10 + index);
    await before.file.close();
    const { file, revoked } = await aWorker(new Revoked(revokedOptions({ CELERY_WORKER_REVOKES_MAX: '2' })));
    expect(revoked.entries(system.now()).map(([id]) => id)).toEqual(['b', 'c']);
    await file.close();
  });
});

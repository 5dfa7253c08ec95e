/** Settings of the programs that run on: pid file, log file, user and mask of worker, beat and the camera of events. */
import { chmod, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const isRoot = process.getuid?.() === 0;
/** Nobody, where we may become somebody else. */
const uid = isRoot ? 65_534 : (process.getuid?.() ?? 0);
const gid = isRoot ? 65_533 : (process.getgid?.() ?? 0);

const app = `
import { Celery } from 'celery-ts';
const daemon = (name) => ({
  [name + '_pidfile']: name + '.pid',
  [name + '_logfile']: name + '-%n.log',
  [name + '_uid']: ${uid},
  [name + '_gid']: '${gid}',
  [name + '_umask']: 0o027,
  [name + '_executable']: '/usr/bin/other-node',
});
export const app = new Celery('shop', {
  ...daemon('worker'), ...daemon('beat'), ...daemon('events'),
  workerConcurrency: 3,
  workerPool: 'async',
  workerStateDb: 'state-%n.json',
});
app.task('shop.add', (x, y) => x + y);
export class Camera { onShutter() {} }
`;

const programs = [
  ['worker', ['worker', '-n', 'w1@%h'], 'worker-w1.log'],
  ['beat', ['beat'], 'beat-beat.log'],
  ['events', ['events', '-c', './shop.mjs:Camera'], 'events-events.log'],
] as const;

describe.runIf(process.platform === 'linux')('the settings of a program', () => {
  it.each(programs)('%s: give it its pid file, log file, user, group and mask', async (name, args, logfile) => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'shop.mjs': app });
    await chmod(project.folder, 0o777);
    const env = { CELERY_BROKER_URL: broker.url };
    await using program = project.start([...args, '-A', './shop.mjs', '-l', 'info'], env);
    const read = (path: string): Promise<string> => readFile(join(project.folder, path), 'utf8').catch(() => '');
    if (name === 'worker') await program.line(/ready/);
    await until(async () => (await read(logfile)) !== '' && (await read(`${name}.pid`)) !== '', { what: 'its files' });
    expect((await read(`${name}.pid`)).split('\n')[0]).toBe(String(program.pid));
    const status = await readFile(`/proc/${program.pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s`, 'm'));
    expect(status).toMatch(new RegExp(`^Gid:\\s+${gid}\\s+${gid}\\s`, 'm'));
    expect(status).toMatch(/^Umask:\s+0027$/m);
    const { uid: owner, mode } = await stat(join(project.folder, logfile));
    expect([owner, mode & 0o037]).toEqual([uid, 0]); // written by that user, with that mask
    expect(await read(logfile)).toContain(`"${name}Executable":"The program runs before its settings are read`);
    if (name === 'worker') {
      const stats = JSON.parse((await project.run(['inspect', 'stats', '-A', './shop.mjs', '-j'], env)).stdout);
      const [answer] = Object.values(stats) as { pool: { implementation: string; 'max-concurrency': number } }[];
      expect(answer?.pool).toMatchObject({ 'max-concurrency': 3 });
      expect(String(answer?.pool.implementation)).toContain('async');
    }
    await program.stop();
    expect(await read(`${name}.pid`)).toBe('');
    if (name === 'worker') expect(await read('state-w1.json')).not.toBe('');
  });
});

/** Children of a worker talk to their parent; a connection to the broker they open when user code publishes. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Celery } from 'celery-ts';
import { expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';

const source = `
import { Celery } from 'celery-ts';
export const app = new Celery('quiet', { brokerUrl: process.env.CELERY_BROKER_URL, resultBackend: 'rpc://' });
export const add = app.task('add', (x, y) => x + y);
app.task('pid', () => process.pid);
app.task('publishing', async () => { await add.delay(1, 1); return process.pid; });
`;

it.runIf(process.platform === 'linux')('a child has no connection of its own until a task publishes', async () => {
  await using broker = await testBroker();
  await using project = await tempProject({ 'tasks.mjs': source });
  await using app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
  await using worker = project.start(['worker', '-A', 'tasks', '-c', '1'], { CELERY_BROKER_URL: broker.url });
  await worker.line(/ready\./);
  const call = async (name: string): Promise<number> => Number(await (await app.sendTask(name)).get({ timeout: 20 }));
  const port = Number(new URL(broker.url).port);
  const child = await call('pid');
  expect(child).not.toBe(worker.pid);
  expect(connectionsOf(worker.pid, port)).toBeGreaterThanOrEqual(2);
  expect(connectionsOf(child, port)).toBe(0);
  expect(await call('publishing')).toBe(child);
  expect(connectionsOf(child, port)).toBeGreaterThanOrEqual(1);
});

/** TCP connections of a process to a port of this host. */
function connectionsOf(pid: number, port: number): number {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = ['tcp', 'tcp6'].flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').split('\n'));
  const inodes = new Set(
    rows
      .map((row) => row.trim().split(/\s+/))
      .filter(([, , remote = '']) => remote.endsWith(`:${hexPort}`))
      .map((columns) => columns[9]),
  );
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return inodes.has(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]);
    } catch {
      return false; // closed meanwhile
    }
  }).length;
}

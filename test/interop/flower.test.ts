/**
 * Flower, the monitor from PyPI, on a celery-ts worker: what its pages show in a real browser, and that their buttons work.
 * `FLOWER_SCREENSHOTS=<folder>` keeps pictures of the pages.
 */
import { join } from 'node:path';
import { Celery } from 'celery-ts';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { openBrowser } from '../support/browser.ts';
import { tempProject } from '../support/cli.ts';
import { pythonProject } from '../support/python.ts';
import { until } from '../support/until.ts';

/** Flower sets limits of tasks that its own app knows; bodies are the worker's. */
const flowerApp = `
import os
from celery import Celery
app = Celery('shop', broker=os.environ['BROKER'])
app.conf.broker_connection_retry_on_startup = True
def elsewhere(*args):
    raise NotImplementedError

for name in ('shop.add', 'shop.fail', 'shop.slow', 'shop.later'):
    app.task(elsewhere, name=name)
`;

const tasks = `
import { Celery } from 'celery-ts';
export const app = new Celery('shop', { brokerUrl: process.env.BROKER, taskSendSentEvent: true });
app.task('shop.add', (x: number, y: number) => x + y);
app.task('shop.fail', () => { throw new TypeError('no such shelf'); });
app.task('shop.slow', { bind: true }, (self, seconds: number) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  self.signal.addEventListener('abort', () => { clearTimeout(timer); reject(self.signal.reason); });
}));
app.task('shop.later', { bind: true, maxRetries: 5 }, (self) => { throw self.retry({ countdown: 600 }); });
`;

// Where no package index answers there is no Flower: `.ci/run` says so. Elsewhere a missing one is a failure.
describe.skipIf(process.env.CELERY_TEST_WITHOUT_FLOWER === '1')('Flower', () => {
  it('shows a celery-ts worker, its tasks, pool and queues, and its buttons reach it', async () => {
    await using broker = await testBroker();
    const env = { BROKER: broker.url };
    await using project = await tempProject({ 'tasks.ts': tasks });
    await using python = await pythonProject({ 'shop.py': flowerApp });
    await using flower = python.celery(['-A', 'shop', 'flower', '--address=127.0.0.1', '--port=0'], {
      ...env,
      FLOWER_UNAUTHENTICATED_API: 'true',
    });
    await using worker = project.start(['worker', '-A', 'tasks', '-n', 'ts1@host', '-c', '1', '-E', '-l', 'INFO'], env);
    const opening = openBrowser();
    await worker.line(/ts1@host ready/);
    const base = (await flower.line(/Visit me at/, 40)).replace(/.*(http:\S+).*/, '$1');
    await using browser = await opening;
    const { page } = browser;

    // Online, before there is any task
    await page.goto(`${base}/workers`);
    const online = page.locator('tr', { hasText: 'ts1@host' });
    await reloadUntil(
      page,
      async () => /online/i.test((await online.textContent({ timeout: 200 })) ?? ''),
      'the worker to be online',
    );

    // Tasks in every state
    await using app = new Celery('shop', { brokerUrl: broker.url, taskSendSentEvent: true });
    const send = async (name: string, args: unknown[] = []): Promise<string> => (await app.sendTask(name, args)).id;
    const added = await send('shop.add', [2, 3]);
    const failed = await send('shop.fail');
    const retried = await send('shop.later');
    const revoked = await send('shop.slow', [60]);
    await until(async () => (await stateOf(base, revoked)) === 'STARTED', { what: 'the slow task to run' });
    const running = await app.control.inspect({ destination: 'ts1@host', timeout: 5 }).active();
    expect(running).toMatchObject([{ id: revoked, name: 'shop.slow' }]);
    await app.control.revoke(revoked, { terminate: true });
    const started = await send('shop.slow', [50]);
    const waiting = await send('shop.add', [1, 1]);
    const expected = {
      [added]: 'SUCCESS',
      [failed]: 'FAILURE',
      [retried]: 'RETRY',
      [revoked]: 'REVOKED',
      [started]: 'STARTED',
      [waiting]: 'RECEIVED',
    };
    await until(async () => equal(await statesOf(base, Object.keys(expected)), expected), {
      what: 'Flower to know all states',
      withinSeconds: 20,
    });

    // The load of its machine comes with each heartbeat
    await page.goto(`${base}/workers`);
    await reloadUntil(
      page,
      async () => /\d\.\d/.test((await online.locator('td').last().textContent({ timeout: 200 })) ?? ''),
      'the load average to be shown',
    );
    await picture(page, 'workers-online');

    // The list of tasks, in the browser
    await page.goto(`${base}/tasks`);
    await page.locator('#tasks-table tbody tr', { hasText: started }).waitFor();
    for (const [id, state] of Object.entries(expected)) {
      expect(await page.locator('#tasks-table tbody tr', { hasText: id }).textContent()).toContain(state);
    }
    await picture(page, 'tasks');

    // A task's own page, with its fields
    const detail = async (id: string): Promise<string> => {
      await page.goto(`${base}/task/${id}`);
      return (await page.locator('#task-page').textContent()) ?? '';
    };
    const success = await detail(added);
    for (const field of [
      'shop.add',
      added,
      'SUCCESS',
      '(2, 3)',
      'ts1@host',
      '5',
      'Received',
      'Started',
      'Succeeded',
      'Runtime',
    ]) {
      expect(success).toContain(field);
    }
    await picture(page, 'task');
    const failure = await detail(failed);
    expect(failure).toContain("TypeError('no such shelf')");
    expect(failure).toContain('tasks.ts');
    expect(await detail(revoked)).toMatch(/Revoked\s+\d{4}-\d\d-\d\d/);
    expect(await detail(retried)).toContain('Retr');

    // The worker's page: every tab
    await page.goto(`${base}/worker/ts1@host`);
    const tab = async (name: string): Promise<string> => {
      await page.locator(`#worker-tab-${name}`).click();
      const pane = page.locator(`#tab-${name}.show`);
      await pane.waitFor({ state: 'visible' });
      return (await pane.textContent()) ?? '';
    };
    const pool = await tab('pool');
    expect(pool).toMatch(/Max concurrency\s+1/i);
    expect(pool).toMatch(new RegExp(`Worker PID\\s+${worker.pid}`));
    expect(pool).toMatch(/Processes/i);
    await picture(page, 'worker-pool');
    expect(await tab('broker')).toMatch(/Hostname[\s\S]*Transport\s+amqp/i);
    await picture(page, 'worker-broker');
    expect(await tab('queues')).toMatch(/celery\s+False\s+True\s+celery\s+False/);
    await picture(page, 'worker-queues');
    const work = await tab('tasks');
    expect(work).toMatch(/shop\.add\s+1/);
    expect(work).toContain(started);
    expect(work).toContain(waiting);
    expect(work).toContain(revoked);
    await picture(page, 'worker-tasks');
    expect(await tab('limits')).toContain('shop.fail');
    await picture(page, 'worker-limits');
    expect(await tab('config')).toMatch(/broker_url\s+amqp:\/\/guest:\*+@/);
    await picture(page, 'worker-config');
    expect(await tab('system')).toMatch(/utime/);
    await picture(page, 'worker-system');
    expect(await tab('other')).toMatch(/uptime\s+\d+\.\d+ s[\s\S]*rejected\s+0/);
    await picture(page, 'worker-other');

    // Its buttons
    await tab('limits');
    const row = page.locator('#limits-table tr', { hasText: 'shop.add' });
    await row.locator('input').first().fill('7');
    await row.locator('button', { hasText: 'Apply' }).click();
    await page.locator('text=new rate limit set successfully').waitFor();
    await picture(page, 'rate-limit');
    await until(
      async () =>
        JSON.stringify(await app.control.inspect({ timeout: 1 }).registered('rate_limit')).includes('rate_limit=7'),
      { what: 'the worker to have the limit' },
    );
    await tab('pool');
    await page.locator('#worker-pool-grow').click();
    await page.locator('text=/grow/i').first().waitFor();
    await until(async () => (await poolSize(app)) === 2, { what: 'the pool to grow' });
    await tab('queues');
    await page.locator('#add-consumer-name').fill('returns');
    await page.locator('#worker-add-consumer').click();
    await until(async () => (await broker.depth('returns')) === 0, { what: 'the queue to be consumed' });

    await app.control.revoke(started, { terminate: true }); // a warm shutdown waits for what runs
    await page.locator('#worker-group').click();
    await page.locator('#worker-shutdown').click();
    const { code, stdout } = await worker.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('Warm shutdown');
    await page.goto(`${base}/workers`);
    await reloadUntil(
      page,
      async () => /offline/i.test((await online.textContent({ timeout: 200 })) ?? ''),
      'the worker to be offline',
    );
    await picture(page, 'workers');
    await flower.stop();
  });
});

async function poolSize(app: Celery): Promise<unknown> {
  const stats = await app.control.inspect({ destination: 'ts1@host', timeout: 5 }).stats();
  return stats === null || !('pool' in stats) ? undefined : stats.pool['max-concurrency'];
}

/** What Flower knows of tasks, from its API. */
async function statesOf(base: string, ids: readonly string[]): Promise<Record<string, string | undefined>> {
  return Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await stateOf(base, id)] as const)));
}

async function stateOf(base: string, id: string): Promise<string | undefined> {
  const response = await fetch(`${base}/api/task/info/${id}`);
  if (!response.ok) return undefined;
  const { state } = (await response.json()) as { state?: string };
  return state;
}

function equal(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  return Object.keys(b).every((key) => a[key] === b[key]);
}

async function reloadUntil(page: Page, holds: () => Promise<boolean>, what: string): Promise<void> {
  await until(
    async () => {
      if (await holds().catch(() => false)) return true;
      await page.reload();
      return false;
    },
    { what, withinSeconds: 20, everyMs: 500 },
  );
}

async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.FLOWER_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled' });
}

/** Each example runs through its own entry, with a worker of its own, and does what its first lines say. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { compileExamples, type Examples, endOf } from '../support/examples.ts';

let examples: Examples;

beforeAll(async () => {
  examples = await compileExamples();
});

afterAll(async () => {
  await examples[Symbol.asyncDispose]();
});

it('quickstart: three tasks go to a worker and their results come back', async () => {
  await using broker = await testBroker();
  await using demo = examples.start('quickstart/demo', { CELERY_BROKER_URL: broker.url });
  const { code, stdout } = await endOf(demo);
  expect(stdout).toContain('add(2, 3) is 5\n');
  expect(stdout).toMatch(/Dear Grace, this is task /);
  expect(stdout).toContain('divide(1, 0) fails here as it failed there: RangeError: 1 cannot be divided by zero\n');
  expect(stdout).toMatch(/Done\.\n$/);
  expect(code).toBe(0);
});

it('web-service: a request is answered at once, and the progress of its task is followed to the end', async () => {
  await using broker = await testBroker();
  const env = { CELERY_BROKER_URL: broker.url };
  await using worker = examples.worker('web-service', ['-c', '1'], env);
  await using server = examples.start('web-service/server', { ...env, PORT: '0' });
  const address = (await server.line(/^Listening on /)).replace('Listening on ', '');
  await worker.line(/ready\./);

  const page = await fetch(address);
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(await page.text()).toContain('new EventSource(events)');

  const refused = await fetch(`${address}/thumbnails`, { method: 'POST', body: '{ "images": 3 }' });
  expect(refused.status).toBe(400);

  const images = Array.from({ length: 15 }, (_, index) => `${index}.png`); // a second and a half of work
  const body = JSON.stringify({ images });
  const accepted = await fetch(`${address}/thumbnails`, { method: 'POST', body });
  expect(accepted.status).toBe(202);
  const { events } = (await accepted.json()) as { events: string };
  const told = await fetch(`${address}${events}`, { signal: AbortSignal.timeout(20_000) });
  expect(told.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const states = [...(await told.text()).matchAll(/^data: (.*)$/gm)].map(([, data = '']): unknown => JSON.parse(data));
  expect(states.at(-1)).toEqual({
    state: 'SUCCESS',
    result: images.map((image) => image.replace('.png', '.thumb.webp')),
  });
  expect(states).toContainEqual({ state: 'PROGRESS', result: { current: 15, total: 15, note: '14.png' } });

  const [closed, stopped] = await Promise.all([server.stop(), worker.stop()]);
  expect([closed.code, stopped.code]).toEqual([0, 0]);
  expect(closed.stdout).toMatch(/Closed\.\n$/);
});

it('crawler: every page is found once, near ones with more priority; the busy one is asked again, the missing one is told', async () => {
  await using broker = await testBroker();
  const env = { CELERY_BROKER_URL: broker.url };
  await using worker = examples.worker('crawler', ['-P', 'async', '-c', '4', '--prefetch-multiplier', '1'], env);
  await worker.line(/ready\./);
  await using crawl = examples.start('crawler/crawl', env);
  const { code, stdout, stderr } = await endOf(crawl);
  expect(code, stderr).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toBe('Page / (3 links)');
  expect(lines.at(-1)).toBe('Done: 8 pages.');
  expect(lines.slice(1, -1).sort()).toEqual(
    [
      '  Page /birds (3 links)',
      '  Page /trees (2 links)',
      '    Page /birds/owl (2 links)',
      '    Page /birds/wren (0 links)',
      '    Page /trees/oak (1 links)',
      '      Page /birds/owl/feathers (1 links)',
      '/missing: RangeError: /missing answers 404',
    ].sort(),
  );
  await worker.stop();
  expect(worker.output).toMatch(/\/trees is busy.*Task will be retried/);
  expect(worker.output).toMatch(/"priority":9,"msg":"Fetching"/);
  expect(worker.output).toMatch(/\/feathers","priority":6,"msg":"Fetching"/);
});

it('progress: a bar grows to its end while the task runs', async () => {
  await using broker = await testBroker();
  const env = { CELERY_BROKER_URL: broker.url };
  await using worker = examples.worker('progress', ['-c', '1'], env);
  await worker.line(/ready\./);
  await using watch = examples.start('progress/watch', env);
  const { code, stdout, stderr } = await endOf(watch);
  expect(code, stderr).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toBe('Done: 24 frames.');
  const percents = lines.slice(0, -1).map((line) => Number(/(\d+) %/.exec(line)?.[1]));
  expect(percents.length).toBeGreaterThan(5);
  expect(percents).toEqual([...percents].sort((a, b) => a - b));
  expect(lines.at(-2)).toBe(`${'█'.repeat(30)} 100 % frame 24 of Metropolis`);
  await worker.stop();
});

it('every example is listed', () => {
  const folders = readdirSync(join(root, 'examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.length).toBeGreaterThan(3);
  const index = readFileSync(join(root, 'examples', 'README.md'), 'utf8');
  for (const { name } of folders) expect(index).toContain(`[${name}](${name})`);
});

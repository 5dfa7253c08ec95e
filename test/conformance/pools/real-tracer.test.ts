/**
 * Pools with the product's own tracer and an app as users write one: what the two rely on in each other.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { root } from '../../support/build.ts';
import { until } from '../../support/until.ts';
import { openWorld, type PoolWorld } from './world.ts';

const url = pathToFileURL(join(root, 'dist/worker/pool/app-tracer.js')).href;
const data = {
  location: { kind: 'app', path: join(import.meta.dirname, 'an-app.mjs'), exportName: 'app' },
  flags: {},
  nodeName: 'celery@here',
  resultForm: 'document',
};

function call(world: PoolWorld, task: string, args: readonly unknown[], more: object = {}) {
  const id = `id-of-${task}`;
  const headers = { lang: 'py', task, id, retries: 0, root_id: id, ignore_result: false };
  const body = Buffer.from(JSON.stringify([args, {}, {}]));
  const properties = { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: id };
  return world.submit('', undefined, { id, task, headers, properties, body, ...more });
}

function stored(report: { readonly results: readonly { readonly body: Uint8Array }[] }): unknown {
  return report.results.map(({ body }) => JSON.parse(Buffer.from(body).toString()));
}

describe.each(['prefork', 'threads'])('an app in the children of %s', (name) => {
  it('runs, logs, and hears of its process', async () => {
    await using world = await openWorld(name, { size: 1, url, data });
    expect(world.logger.find('worker_process_init')).toHaveLength(1);
    const sum = await call(world, 'pools.add', [2, 40]).report;
    expect(sum.outcome).toMatchObject({ kind: 'succeeded', resultRepr: '42' });
    expect(stored(sum)).toMatchObject([{ status: 'SUCCESS', result: 42, task_id: 'id-of-pools.add' }]);
    await call(world, 'pools.talk', ['said by the task']).report;
    await until(() => world.logger.find('logged by the task')[0], { what: 'the log record' });
    expect(world.logger.find('said by the task')).toMatchObject([{ task: 'pools.talk', taskId: 'id-of-pools.talk' }]);
  });

  it('fails a task with the error that escaped from it, result and all', async () => {
    await using world = await openWorld(name, { size: 1, url, data });
    const report = await call(world, 'pools.stray', []).report;
    expect(report.outcome).toMatchObject({ kind: 'failed', exceptionRepr: expect.stringContaining('escaped') });
    expect(stored(report)).toMatchObject([{ status: 'FAILURE', result: { exc_type: 'TypeError' } }]);
    await until(() => world.logger.find('failed by TypeError')[0], { what: 'the hook' });
    expect(world.logger.find('prerun id-of-pools.stray')).toHaveLength(1); // the run is ended, not begun again
  });

  it('fails a task with SoftTimeLimitExceeded when it lets its signal end it', async () => {
    await using world = await openWorld(name, { size: 1, url, data });
    const report = await call(world, 'pools.patient', [], { softTimeLimit: 0.05 }).report;
    expect(stored(report)).toMatchObject([{ status: 'FAILURE', result: { exc_type: 'SoftTimeLimitExceeded' } }]);
  });

  it('reports a body that cannot be read', async () => {
    await using world = await openWorld(name, { size: 1, url, data });
    const report = await call(world, 'pools.add', [], { body: Buffer.from('{{{') }).report;
    expect(report.outcome).toMatchObject({ kind: 'undecodable' });
  });
});

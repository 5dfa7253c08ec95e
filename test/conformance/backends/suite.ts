/**
 * What every result backend does, whatever it stands on. A file beside this one opens a backend twice, as a caller and as
 * a worker have it, and runs the suite.
 */
import { describe, expect, it } from 'vitest';
import { ContentDisallowed, DecodeError, ImproperlyConfigured } from '../../../src/core/errors.ts';
import { nodeSystem, type System } from '../../../src/core/system.ts';
import { type Codec, createCodec, encodeResult, type OutgoingResult } from '../../../src/message/index.ts';
import {
  type AnyResult,
  AsyncResult,
  GroupResult,
  type ResultBackend,
  type ResultHost,
  type ResultMeta,
  resultFromTuple,
} from '../../../src/results/index.ts';
import { testLogger } from '../../support/logger.ts';
import { until } from '../../support/until.ts';

export interface BackendWorld extends AsyncDisposable {
  /** As the app that sends tasks has it. */
  readonly caller: ResultBackend;
  /** As a worker has it: another connection, another process for all it knows. */
  readonly worker: ResultBackend;
}

export interface Given {
  readonly system: System;
  readonly codec: Codec;
}

export interface Traits {
  /** Answers can be read by whoever knows the id, not only by the app that sent the task. */
  readonly isShared: boolean;
  readonly keepsGroups: boolean;
}

/** A state as a worker stores it. */
export async function store(world: BackendWorld, result: OutgoingResult, serializer = 'json'): Promise<void> {
  const { form } = world.worker;
  if (form === 'none') throw new Error('nothing to store');
  const encoded = encodeResult(result, { form, serializer }, createCodec({ accept: ['json', 'yaml'] }));
  await world.worker.store(encoded, { replyTo: world.caller.replyTo, correlationId: result.taskId });
}

export function hostOf(backend: ResultBackend, system: System = nodeSystem()): ResultHost {
  const host: ResultHost = {
    system,
    backend: async () => backend,
    openedBackend: () => backend,
    isInsideTask: () => false,
    resultFromTuple: (tuple): AnyResult => resultFromTuple(tuple, host),
    revoke: async () => undefined,
    revokeByStampedHeaders: async () => undefined,
  };
  return host;
}

export function backendConformance(name: string, open: (given: Given) => Promise<BackendWorld>, traits: Traits): void {
  const openWorld = async (): Promise<BackendWorld & { readonly system: System }> => {
    const system = nodeSystem({ log: testLogger().log });
    return Object.assign(await open({ system, codec: createCodec() }), { system });
  };

  /** What the caller hears of a task, as it comes. */
  const listen = (world: BackendWorld, taskId: string): { states: string[]; metas: ResultMeta[]; stop: () => void } => {
    const metas: ResultMeta[] = [];
    const states: string[] = [];
    const stop = world.caller.watch(taskId, (meta) => {
      metas.push(meta);
      states.push(meta.state);
    });
    return { states, metas, stop };
  };

  describe(`the result backend ${name}`, () => {
    it('knows nothing of an unknown task', async () => {
      await using world = await openWorld();
      await world.caller.expect('unknown');
      expect(await world.caller.get('unknown')).toMatchObject({
        taskId: 'unknown',
        state: 'PENDING',
        result: undefined,
      });
    });

    it('brings a value from the worker to a caller that waits', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      const value = new AsyncResult('a', hostOf(world.caller)).get({ timeout: 10 });
      await store(world, { taskId: 'a', state: 'SUCCESS', result: { sum: 2, text: 'grüße', list: [1, null] } });
      expect(await value).toEqual({ sum: 2, text: 'grüße', list: [1, null] });
    });

    it('brings a value to a caller that asks later, as often as it asks', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 'early' });
      const result = new AsyncResult('a', hostOf(world.caller));
      expect(await result.get({ timeout: 10 })).toBe('early');
      expect(await new AsyncResult('a', hostOf(world.caller)).get({ timeout: 10 })).toBe('early');
      expect(await world.caller.get('a')).toMatchObject({ state: 'SUCCESS', result: 'early' });
    });

    it('tells a watcher of each state, with what it carries', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      const heard = listen(world, 'a');
      await store(world, { taskId: 'a', state: 'STARTED', result: { pid: 1, hostname: 'w@h' } });
      await until(() => heard.states.includes('STARTED'), { what: 'STARTED' });
      await store(world, { taskId: 'a', state: 'PROGRESS', result: { current: 1, total: 2 } });
      await until(() => heard.states.includes('PROGRESS'), { what: 'PROGRESS' });
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 2 });
      await until(() => heard.states.includes('SUCCESS'), { what: 'SUCCESS' });
      expect([...new Set(heard.states)]).toEqual(['STARTED', 'PROGRESS', 'SUCCESS']);
      expect(heard.metas.find(({ state }) => state === 'PROGRESS')?.result).toEqual({ current: 1, total: 2 });
    });

    it('tells a watcher nothing after it stopped', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      const [stopped, other] = [listen(world, 'a'), listen(world, 'a')];
      stopped.stop();
      stopped.stop();
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 1 });
      await until(() => other.states.includes('SUCCESS'), { what: 'the other watcher' });
      expect(stopped.states).toEqual([]);
    });

    it('keeps SUCCESS whatever is stored after it', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      await world.caller.expect('b');
      const marker = listen(world, 'b');
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 'the answer' });
      await store(world, { taskId: 'a', state: 'STARTED', result: null });
      await store(world, { taskId: 'a', state: 'FAILURE', result: new Error('a second run') });
      await store(world, { taskId: 'b', state: 'SUCCESS', result: 'behind them' });
      await until(() => marker.states.includes('SUCCESS'), { what: 'what was stored last' });
      expect(await world.caller.get('a')).toMatchObject({ state: 'SUCCESS', result: 'the answer' });
    });

    it('lets a task fail and succeed later', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      await store(world, { taskId: 'a', state: 'FAILURE', result: new Error('lost') });
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 'redelivered' });
      const meta = await until(
        async () => {
          const known = await world.caller.get('a');
          return known.state === 'SUCCESS' && known;
        },
        { what: 'the later success' },
      );
      expect(meta.result).toBe('redelivered');
    });

    it('brings the error of a failure with its traceback', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      const error = new TypeError('no such thing');
      await store(world, {
        taskId: 'a',
        state: 'FAILURE',
        result: error,
        traceback: 'Traceback …\nTypeError: no such thing',
      });
      const thrown: unknown = await new AsyncResult('a', hostOf(world.caller))
        .get({ timeout: 10 })
        .catch((e: unknown) => e);
      expect(thrown).toBeInstanceOf(Error);
      expect(String(thrown)).toContain('no such thing');
      expect(await new AsyncResult('a', hostOf(world.caller)).traceback()).toContain('Traceback …');
    });

    it('keeps the children, so that the tree of results can be walked', async () => {
      await using world = await openWorld();
      for (const id of ['a', 'b']) await world.caller.expect(id);
      await store(world, { taskId: 'b', state: 'SUCCESS', result: 2 });
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 1, children: [[['b', null], null]] });
      const result = new AsyncResult('a', hostOf(world.caller));
      await result.get({ timeout: 10 });
      const child = await until(async () => (await result.children)?.[0], { what: 'the child' });
      expect([child.id, await child.get({ timeout: 10 })]).toEqual(['b', 2]);
    });

    it('serves many waits at once', async () => {
      await using world = await openWorld();
      const ids = Array.from({ length: 300 }, (_, n) => `task ${n}`);
      for (const id of ids) await world.caller.expect(id);
      const host = hostOf(world.caller);
      const values = new GroupResult(
        'g',
        ids.map((id) => new AsyncResult(id, host)),
        host,
      ).get({ timeout: 20 });
      await Promise.all(ids.map((taskId, n) => store(world, { taskId, state: 'SUCCESS', result: n })));
      expect(await values).toEqual(ids.map((_, n) => n));
    });

    it('forgets on demand', async () => {
      await using world = await openWorld();
      await world.caller.expect('a');
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 1 });
      await until(async () => (await world.caller.get('a')).state === 'SUCCESS', { what: 'the result' });
      await world.caller.forget('a');
      expect((await world.caller.get('a')).state).toBe('PENDING');
    });

    it('fails the wait for a result it cannot or must not read', async () => {
      await using world = await openWorld();
      const { form } = world.worker;
      const address = { replyTo: world.caller.replyTo, correlationId: 'a' };
      await world.caller.expect('a');
      const broken = new AsyncResult('a', hostOf(world.caller)).get({ timeout: 10 });
      const refused = expect(broken).rejects.toThrow(DecodeError);
      await world.worker.store(
        {
          taskId: 'a',
          state: 'SUCCESS',
          contentType: 'application/json',
          contentEncoding: 'utf-8',
          body: Buffer.from('{"stat'),
        },
        address,
      );
      await refused;
      if (form !== 'rpc') return; // a stored document says nothing of its content type
      await world.caller.expect('b');
      const pickled = new AsyncResult('b', hostOf(world.caller)).get({ timeout: 10 });
      const disallowed = expect(pickled).rejects.toThrow(ContentDisallowed);
      await world.worker.store(
        {
          taskId: 'b',
          state: 'SUCCESS',
          contentType: 'application/x-python-serialize',
          contentEncoding: 'binary',
          body: Buffer.from('.'),
        },
        { ...address, correlationId: 'b' },
      );
      await disallowed;
    });

    it('ends every wait when it is closed, and may be closed twice', async () => {
      const world = await openWorld();
      await world.caller.expect('a');
      const waiting = expect(new AsyncResult('a', hostOf(world.caller)).get()).rejects.toThrow(/closed/);
      await until(() => world.caller, { what: 'nothing' });
      await world.caller.close();
      await waiting;
      await world.caller.close();
      expect(() => world.caller.watch('b', () => undefined)).toThrow(/closed/);
      await world[Symbol.asyncDispose]();
    });

    it(
      traits.keepsGroups ? 'keeps groups under their ids' : 'says that it keeps no groups, and what does',
      async () => {
        await using world = await openWorld();
        const host = hostOf(world.caller);
        const group = new GroupResult(
          'g',
          ['a', 'b'].map((id) => new AsyncResult(id, host)),
          host,
        );
        if (!traits.keepsGroups) {
          await expect(group.save()).rejects.toThrow(ImproperlyConfigured);
          await expect(GroupResult.restore('g', host)).rejects.toThrow(/resultBackend/);
          return;
        }
        expect(await GroupResult.restore('g', host)).toBeUndefined();
        await group.save();
        expect((await GroupResult.restore('g', hostOf(world.worker)))?.equals(group)).toBe(true);
        await group.delete();
        expect(await GroupResult.restore('g', host)).toBeUndefined();
      },
    );

    it.runIf(traits.isShared)('shows a result to anybody who knows the id', async () => {
      await using world = await openWorld();
      await store(world, { taskId: 'a', state: 'SUCCESS', result: 'for all', dateDone: Date.UTC(2024, 0, 2) });
      expect(await new AsyncResult('a', hostOf(world.worker)).get({ timeout: 10 })).toBe('for all');
      expect((await new AsyncResult('a', hostOf(world.caller)).dateDone())?.toISOString()).toBe(
        '2024-01-02T00:00:00.000Z',
      );
    });
  });
}

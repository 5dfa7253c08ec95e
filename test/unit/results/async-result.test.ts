/** The handle on one task: asking, waiting, failing, walking. */
import { describe, expect, it } from 'vitest';
import { ImproperlyConfigured, RemoteTaskError, TaskRevokedError, TimeoutError } from '../../../src/core/errors.ts';
import { openDisabledBackend } from '../../../src/results/backends/disabled.ts';
import {
  AsyncResult,
  allowJoinResult,
  BlockingJoinError,
  deniedJoinResult,
  IncompleteStream,
} from '../../../src/results/index.ts';
import { turn } from '../../support/manual-system.ts';
import { aWorld } from './world.ts';

describe('AsyncResult', () => {
  it('is PENDING while nothing is known', async () => {
    const { host } = aWorld();
    const result = new AsyncResult('a', host);
    expect(await result.state()).toBe('PENDING');
    expect(await result.status()).toBe('PENDING');
    expect(await result.ready()).toBe(false);
    expect(await result.successful()).toBe(false);
    expect(await result.failed()).toBe(false);
    expect(await result.exists()).toBe(false);
    expect(await result.result()).toBeUndefined();
    expect(await result.children).toBeUndefined();
  });

  it('is no promise: awaiting a handle gives the handle', async () => {
    const { host } = aWorld();
    const result = new AsyncResult('a', host);
    expect(await result).toBe(result);
    expect('then' in result).toBe(false);
  });

  it('gives the value that comes while it waits', async () => {
    const { host, hear } = aWorld();
    const value = new AsyncResult('a', host).get();
    await turn();
    hear('a', 'STARTED', { result: { pid: 1 } });
    hear('a', 'SUCCESS', { result: 2 });
    expect(await value).toBe(2);
  });

  it('gives the value that came before anyone asked, as often as it is asked', async () => {
    const { host, hear } = aWorld();
    const result = new AsyncResult('a', host);
    hear('a', 'SUCCESS', { result: 'early' });
    expect(await result.get()).toBe('early');
    expect(await result.wait({ timeout: 1 })).toBe('early');
    expect(await new AsyncResult('a', host).get()).toBe('early');
  });

  it('throws the error of a failed task, and gives it with propagate: false', async () => {
    const { host, hear } = aWorld();
    const error = new RangeError('too far');
    hear('a', 'FAILURE', { result: error, traceback: 'Traceback …' });
    const result = new AsyncResult('a', host);
    await expect(result.get()).rejects.toBe(error);
    expect(await result.get({ propagate: false })).toBe(error);
    expect(await result.failed()).toBe(true);
    expect(await result.traceback()).toBe('Traceback …');
    expect(await result.result()).toBe(error);
    await expect(result.maybeThrow()).rejects.toBe(error);
  });

  it('throws TaskRevokedError for a revoked task, whatever the worker stored', async () => {
    const { host, hear } = aWorld();
    hear('a', 'REVOKED', { result: null });
    await expect(new AsyncResult('a', host).get()).rejects.toThrow(TaskRevokedError);
  });

  it('throws RemoteTaskError for a failure whose error cannot be read', async () => {
    const { host, hear } = aWorld();
    hear('a', 'FAILURE', { result: 'only text', traceback: 'there' });
    const error = await new AsyncResult('a', host).get().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RemoteTaskError);
    expect((error as RemoteTaskError).remoteTraceback).toBe('there');
  });

  it('goes on waiting through RETRY, which is not the end', async () => {
    const { host, hear } = aWorld();
    const value = new AsyncResult('a', host).get();
    await turn();
    hear('a', 'RETRY', { result: new Error('once more') });
    hear('a', 'SUCCESS', { result: 1 });
    expect(await value).toBe(1);
  });

  it('gives up after its timeout, leaving no timer and no watch', async () => {
    const world = aWorld();
    const { host, system } = world;
    const waiting = new AsyncResult('a', host).get({ timeout: 10 });
    const settled = expect(waiting).rejects.toThrow(TimeoutError);
    await system.advance(9_999);
    expect(system.timers).toBe(1);
    expect(world.watching).toBe(1);
    await system.advance(1);
    await settled;
    expect(system.timers).toBe(0);
    expect(world.watching).toBe(0);
  });

  it('asks once and does not wait with timeout: 0', async () => {
    const { host, hear } = aWorld();
    const result = new AsyncResult('a', host);
    await expect(result.get({ timeout: 0 })).rejects.toThrow(/had not ended after 0 s/);
    hear('a', 'SUCCESS', { result: 5 });
    expect(await result.get({ timeout: 0 })).toBe(5);
  });

  it('leaves no timer behind when the value comes in time', async () => {
    const { host, system, hear } = aWorld();
    const value = new AsyncResult('a', host).get({ timeout: 10, onInterval: () => undefined });
    await turn();
    hear('a', 'SUCCESS', { result: 1 });
    expect(await value).toBe(1);
    expect(system.timers).toBe(0);
  });

  it("throws the reason of its caller's signal, before and during the wait", async () => {
    const { host } = aWorld();
    const given = new AbortController();
    const waiting = new AsyncResult('a', host).get({ signal: given.signal });
    await turn();
    const reason = new Error('the page was closed');
    given.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(new AsyncResult('a', host).get({ signal: given.signal })).rejects.toBe(reason);
  });

  it('tells onMessage of each state, and ends with what onMessage throws', async () => {
    const { host, hear } = aWorld();
    const states: string[] = [];
    const value = new AsyncResult('a', host).get({ onMessage: ({ state }) => states.push(state) });
    await turn();
    hear('a', 'STARTED');
    hear('a', 'PROGRESS', { result: { done: 1 } });
    hear('a', 'SUCCESS', { result: 1 });
    await value;
    expect(states).toEqual(['STARTED', 'PROGRESS', 'SUCCESS']);

    const failing = new AsyncResult('b', host).get({
      onMessage: () => {
        throw new Error('not like this');
      },
    });
    await turn();
    hear('b', 'STARTED');
    await expect(failing).rejects.toThrow('not like this');
  });

  it('calls onInterval as long as it waits, and callback with the value', async () => {
    const { host, system, hear } = aWorld();
    let beats = 0;
    const told: unknown[] = [];
    const value = new AsyncResult('a', host).get({
      interval: 2,
      onInterval: () => {
        beats += 1;
      },
      callback: (id, given) => told.push(id, given),
    });
    await system.advance(7_000);
    expect(beats).toBe(3);
    hear('a', 'SUCCESS', { result: 9 });
    await value;
    expect(told).toEqual(['a', 9]);
  });

  it('throws at once when an earlier step of its chain failed', async () => {
    const { host, hear } = aWorld();
    const first = new AsyncResult('first', host);
    const last = new AsyncResult('last', host, { parent: new AsyncResult('middle', host, { parent: first }) });
    const value = last.get();
    await turn();
    hear('first', 'FAILURE', { result: new TypeError('no') });
    await expect(value).rejects.toThrow('no');
    expect(await last.state()).toBe('PENDING');
    expect(last.root).toBe(first);
    expect(last.asList()).toEqual(['last', 'middle', 'first']);
  });

  it('waits for the task itself with followParents: false', async () => {
    const { host, hear } = aWorld();
    const parent = new AsyncResult('first', host);
    hear('first', 'FAILURE', { result: new Error('no') });
    const value = new AsyncResult('last', host, { parent }).get({ followParents: false });
    await turn();
    hear('last', 'SUCCESS', { result: 'all the same' });
    expect(await value).toBe('all the same');
  });

  it('is refused inside a running task, unless that is allowed', async () => {
    const world = aWorld();
    world.hear('a', 'SUCCESS', { result: 1 });
    world.insideTask = true;
    const result = new AsyncResult('a', world.host);
    await expect(result.get()).rejects.toThrow(BlockingJoinError);
    expect(await result.get({ disableSyncSubtasks: false })).toBe(1);
    expect(await allowJoinResult(() => result.get())).toBe(1);
    world.insideTask = false;
    await expect(deniedJoinResult(() => result.get())).rejects.toThrow(/Link the tasks/);
  });

  it('gives null at once for a task whose result is ignored', async () => {
    const { host } = aWorld();
    expect(await new AsyncResult('a', host, { ignored: true }).get()).toBeNull();
  });

  it('forgets itself and the steps before it', async () => {
    const { host, hear } = aWorld();
    const parent = new AsyncResult('first', host);
    const result = new AsyncResult('last', host, { parent });
    hear('first', 'SUCCESS', { result: 1 });
    hear('last', 'SUCCESS', { result: 2 });
    await result.get();
    await result.forget();
    expect(await result.state()).toBe('PENDING');
    expect(await parent.state()).toBe('PENDING');
  });

  it('revokes with the options given', async () => {
    const { host, revocations } = aWorld();
    await new AsyncResult('a', host).revoke({ terminate: true, killSignal: 'SIGKILL' });
    expect(revocations).toEqual([{ ids: ['a'], options: { terminate: true, killSignal: 'SIGKILL' } }]);
  });

  it('says which setting to set when there is no backend', async () => {
    const { host } = aWorld();
    const disabled = await openDisabledBackend();
    const result = new AsyncResult('a', { ...host, backend: async () => disabled, openedBackend: () => disabled });
    for (const ask of [() => result.get(), () => result.state(), () => result.ready(), () => result.forget()]) {
      await expect(ask()).rejects.toThrow(ImproperlyConfigured);
      await expect(ask()).rejects.toThrow(/resultBackend: 'rpc:\/\/'/);
    }
    await expect(result.watch().next()).rejects.toThrow(ImproperlyConfigured);
  });

  it('shows what a document holds: name, arguments, worker, retries, queue, date', async () => {
    const { host, hear } = aWorld();
    const extra = { name: 'tasks.add', args: [1, 2], kwargs: { z: 3 }, worker: 'w@h', retries: 1, queue: 'lopri' };
    hear('a', 'SUCCESS', { extra, dateDone: Date.UTC(2024, 0, 2) });
    const result = new AsyncResult('a', host);
    expect(await result.name()).toBe('tasks.add');
    expect(await result.args()).toEqual([1, 2]);
    expect(await result.kwargs()).toEqual({ z: 3 });
    expect(await result.worker()).toBe('w@h');
    expect(await result.retries()).toBe(1);
    expect(await result.queue()).toBe('lopri');
    expect((await result.dateDone())?.toISOString()).toBe('2024-01-02T00:00:00.000Z');
  });

  it('equals a handle on the same id, and the id', () => {
    const { host } = aWorld();
    const result = new AsyncResult('a', host);
    expect(result.equals(new AsyncResult('a', host))).toBe(true);
    expect(result.equals('a')).toBe(true);
    expect(result.equals(new AsyncResult('b', host))).toBe(false);
    expect(`${result}`).toBe('a');
  });
});

describe('watch', () => {
  it('gives each state from the present one to the last', async () => {
    const { host, hear } = aWorld();
    const result = new AsyncResult('a', host);
    hear('a', 'STARTED');
    const seen: [string, unknown][] = [];
    const watching = (async () => {
      for await (const { state, result: value } of result.watch()) seen.push([state, value]);
    })();
    await turn();
    hear('a', 'PROGRESS', { result: 1 });
    await turn();
    hear('a', 'PROGRESS', { result: 2 });
    hear('a', 'SUCCESS', { result: 3 });
    await watching;
    expect(seen).toEqual([
      ['STARTED', undefined],
      ['PROGRESS', 1],
      ['PROGRESS', 2],
      ['SUCCESS', 3],
    ]);
    expect(await result.get()).toBe(3);
  });

  it('drops the oldest progress of a reader that lags, never the end', async () => {
    const { host, hear } = aWorld();
    const states = new AsyncResult('a', host).watch();
    hear('a', 'PROGRESS', { result: -1 });
    await states.next();
    for (let n = 0; n < 5_000; n += 1) hear('a', 'PROGRESS', { result: n });
    hear('a', 'SUCCESS', { result: 'end' });
    const seen: unknown[] = [];
    for await (const { result } of states) seen.push(result);
    expect(seen).toHaveLength(1_000);
    expect(seen.at(-1)).toBe('end');
  });

  it('ends with its timeout and with its signal', async () => {
    const { host, system } = aWorld();
    const timed = new AsyncResult('a', host).watch({ timeout: 1 }).next();
    const refused = expect(timed).rejects.toThrow(TimeoutError);
    await system.advance(1_000);
    await refused;

    const given = new AbortController();
    const states = new AsyncResult('a', host).watch({ signal: given.signal }).next();
    await turn();
    given.abort(new Error('enough'));
    await expect(states).rejects.toThrow('enough');
  });
});

describe('the tree of results', () => {
  const leaf = [['leaf', null], null];
  const group = [
    ['group', null],
    [
      [['m1', null], null],
      [['m2', null], null],
    ],
  ];

  it('is walked from the task to what it sent', async () => {
    const { host, hear } = aWorld();
    hear('a', 'SUCCESS', { result: 1, children: [leaf, group] });
    for (const id of ['leaf', 'm1', 'm2']) hear(id, 'SUCCESS', { result: `value of ${id}` });
    const result = new AsyncResult('a', host);
    const seen: unknown[] = [];
    for await (const [node, value] of result.collect()) seen.push([node.id, value]);
    expect(seen).toEqual([
      ['a', 1],
      ['leaf', 'value of leaf'],
      ['group', ['value of m1', 'value of m2']],
      ['m1', 'value of m1'],
      ['m2', 'value of m2'],
    ]);
    expect(await result.getLeaf()).toBe('value of m2');
  });

  it('is incomplete while a task of it has not ended', async () => {
    const { host, hear } = aWorld();
    hear('a', 'SUCCESS', { children: [leaf] });
    const walk = async (options: { intermediate?: boolean }): Promise<string[]> => {
      const ids: string[] = [];
      for await (const [, node] of new AsyncResult('a', host).iterdeps(options)) ids.push(node.id);
      return ids;
    };
    await expect(walk({})).rejects.toThrow(IncompleteStream);
    expect(await walk({ intermediate: true })).toEqual(['a', 'leaf']);
  });

  it('ends although a peer says a task is its own child', async () => {
    const { host, hear } = aWorld();
    hear('a', 'SUCCESS', { children: [[['a', null], null]] });
    const graph = await new AsyncResult('a', host).graph;
    expect([...graph.nodes.keys()]).toEqual(['a']);
  });

  it('can be drawn', async () => {
    const { host, hear } = aWorld();
    hear('a', 'SUCCESS', { children: [leaf] });
    const graph = await new AsyncResult('a', host).buildGraph({ intermediate: true });
    expect(graph.edges.get('a')).toEqual(['leaf']);
    expect(graph.toDot()).toBe('digraph results {\n  "a";\n  "leaf";\n  "a" -> "leaf";\n}\n');
  });
});

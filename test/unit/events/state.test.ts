/** The cluster as its events tell it, by the rules of Celery's State. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ClusterState, type ReceivedEvent, type TaskState } from '../../../src/events/index.ts';
import { root } from '../../support/build.ts';
import { type ManualSystem, manualSystem } from '../../support/manual-system.ts';

const system = manualSystem();

function anEvent(type: string, more: Record<string, unknown> = {}, at: ManualSystem = system): ReceivedEvent {
  return { type, hostname: 'w1@host', timestamp: at.now(), localReceived: at.now(), clock: 1, pid: 7, ...more };
}

/** The task after these events, in this order. */
function taskAfter(...events: [subject: string, more?: Record<string, unknown>][]): TaskState {
  const state = new ClusterState({ system });
  for (const [subject, more] of events) state.event(anEvent(`task-${subject}`, { uuid: 'a', ...more }));
  const task = state.tasks.get('a');
  if (task === undefined) throw new Error('no task');
  return task;
}

describe('a task', () => {
  const spec = JSON.parse(readFileSync(join(root, 'test/spec/events.json'), 'utf8'));
  const stateMap: Record<string, string> = spec.task_state_map;

  it.each(Object.entries(stateMap))('after task-%s is %s', (subject, expected) => {
    const task = taskAfter([subject, { timestamp: 1_000 }]);
    expect(task.state).toBe(expected);
    expect(task.times).toEqual({ [subject]: 1_000 });
    expect(task.timestamp).toBe(1_000);
  });

  it('takes the upper-cased name of a custom event as its state', () => {
    const task = taskAfter(['received'], ['started'], ['progress', { done: 3, of: 10 }]);
    expect(task.state).toBe('PROGRESS');
    expect(task.extra).toEqual({ done: 3, of: 10 });
    expect(taskAfter(['started'], ['progress'], ['succeeded']).state).toBe('SUCCESS');
  });

  it('keeps its end when earlier events arrive later, and takes from task-received what only that knows', () => {
    const task = taskAfter(
      ['succeeded', { result: '5', runtime: 0.5, timestamp: 3_000 }],
      ['started', { timestamp: 2_000 }],
      [
        'received',
        { name: 'tasks.add', args: '(2, 3)', kwargs: '{}', retries: 0, timestamp: 1_000, result: 'not mine' },
      ],
    );
    expect(task.state).toBe('SUCCESS');
    expect(task.timestamp).toBe(3_000);
    expect(task.times).toEqual({ received: 1_000, started: 2_000, succeeded: 3_000 });
    expect(task.fields).toMatchObject({ name: 'tasks.add', args: '(2, 3)', result: '5', runtime: 0.5 });
  });

  it('goes back to RETRY from anything, and from RETRY to anything', () => {
    expect(taskAfter(['received'], ['started'], ['retried']).state).toBe('RETRY');
    expect(taskAfter(['retried'], ['received']).state).toBe('RECEIVED');
    expect(taskAfter(['received'], ['retried'], ['received'], ['started'], ['succeeded']).state).toBe('SUCCESS');
  });

  it('knows its worker, its client and which of them is its origin', () => {
    const sent = taskAfter(['sent', { hostname: 'gen1@client' }]);
    expect([sent.client, sent.worker, sent.origin]).toEqual(['gen1@client', undefined, 'gen1@client']);
    const received = taskAfter(['sent', { hostname: 'gen1@client' }], ['received']);
    expect([received.client, received.worker?.hostname]).toEqual(['gen1@client', 'w1@host']);
  });

  it('shows what is known and leaves out what is not', () => {
    const task = taskAfter(['received', { name: 'tasks.add', args: '(1,)', retries: 2, eta: null }]);
    expect(task.info()).toEqual({ args: '(1,)', retries: 2 });
    expect(task.info(['args', 'clock'])).toEqual({ args: '(1,)', clock: 1 });
    expect(JSON.parse(JSON.stringify(task))).toMatchObject({
      uuid: 'a',
      state: 'RECEIVED',
      name: 'tasks.add',
      worker: 'w1@host',
    });
  });

  it('believes no field of the wrong type', () => {
    const task = taskAfter(['received', { name: ['tasks.add'], args: 7, retries: 'many', parentId: {}, clock: null }]);
    expect(task.fields).toEqual({});
  });

  it('does not grow without bound by custom fields, nor reach a prototype', () => {
    const extras = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`field${n}`, n]));
    const task = taskAfter(['custom', extras], ['custom', JSON.parse('{"__proto__": {"polluted": true}}')]);
    expect(Object.keys(task.extra)).toHaveLength(100);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
});

describe('a worker', () => {
  it('is alive for two heartbeats by our clock, whatever its own says', async () => {
    const clock = manualSystem();
    const state = new ClusterState({ system: clock });
    state.event(anEvent('worker-online', { freq: 2, timestamp: clock.now() - 3_600_000 }, clock));
    expect(state.aliveWorkers().map(({ hostname }) => hostname)).toEqual(['w1@host']);
    await clock.advance(3_999);
    expect(state.workers.get('w1@host')?.statusString).toBe('ONLINE');
    await clock.advance(1);
    expect(state.workers.get('w1@host')?.statusString).toBe('OFFLINE');
    expect(state.aliveWorkers()).toEqual([]);
    state.event(anEvent('worker-heartbeat', { freq: 2 }, clock));
    expect(state.aliveWorkers()).toHaveLength(1);
  });

  it('is kept alive by the events of its tasks', async () => {
    const clock = manualSystem();
    const state = new ClusterState({ system: clock });
    state.event(anEvent('worker-online', { freq: 2 }, clock));
    await clock.advance(3_000);
    state.event(anEvent('task-started', { uuid: 'a' }, clock));
    await clock.advance(3_000);
    expect(state.aliveWorkers()).toHaveLength(1);
  });

  it('joins when first heard of and leaves when it says goodbye', () => {
    const news: string[] = [];
    const state = new ClusterState({
      system,
      onNodeJoin: ({ hostname }) => news.push(`${hostname} joined`),
      onNodeLeave: ({ hostname }) => news.push(`${hostname} left`),
    });
    state.event(anEvent('worker-heartbeat'));
    state.event(anEvent('worker-heartbeat'));
    state.event(anEvent('worker-online'));
    state.event(anEvent('worker-offline'));
    expect(news).toEqual(['w1@host joined', 'w1@host joined', 'w1@host left']);
    expect(state.workers.size).toBe(0);
    state.event(anEvent('worker-offline', { hostname: 'never heard of' }));
    expect(news.at(-1)).toBe('never heard of left');
    expect(state.workers.size).toBe(0);
  });

  it('shows what it last said and keeps four heartbeats in order', () => {
    const state = new ClusterState({ system });
    for (const localReceived of [50, 10, 40, 20, 30]) {
      state.event(
        anEvent('worker-heartbeat', {
          localReceived,
          timestamp: localReceived,
          active: 3,
          processed: 9,
          loadavg: [1, 2, 3],
        }),
      );
    }
    state.event(
      anEvent('worker-heartbeat', { localReceived: 60, timestamp: 60, freq: 5, swIdent: 'ts-celery', active: 'none' }),
    );
    const worker = state.workers.get('w1@host');
    expect(worker?.heartbeats).toEqual([30, 40, 50, 60]);
    expect(JSON.parse(JSON.stringify(worker))).toMatchObject({
      active: 3,
      processed: 9,
      loadavg: [1, 2, 3],
      freq: 5,
      swIdent: 'ts-celery',
    });
    expect(worker?.id).toBe('w1@host.7');
  });

  it('whose clock is far off is told of once', () => {
    const clock = manualSystem();
    const state = new ClusterState({ system: clock });
    for (let n = 0; n < 3; n += 1) state.event(anEvent('worker-heartbeat', { timestamp: clock.now() - 17_000 }, clock));
    state.event(anEvent('worker-heartbeat', { hostname: 'w2@host', timestamp: clock.now() - 15_000 }, clock));
    expect(clock.logger.find('The clock of a worker')).toMatchObject([{ hostname: 'w1@host', driftSeconds: 17 }]);
  });
});

describe('the cluster', () => {
  it('keeps so many tasks and workers, the newest ones', () => {
    const state = new ClusterState({ system, maxTasks: 3, maxWorkers: 2 });
    for (const n of [1, 2, 3, 4, 5]) {
      state.event(anEvent('task-received', { uuid: `t${n}`, parentId: 'p', hostname: `w${n}@host` }));
    }
    expect([...state.tasks.keys()]).toEqual(['t3', 't4', 't5']);
    expect([...state.workers.keys()]).toEqual(['w4@host', 'w5@host']);
    expect(state.childrenOf('p').map(({ uuid }) => uuid)).toEqual(['t3', 't4', 't5']);
    expect([state.eventCount, state.taskCount]).toEqual([5, 5]);
  });

  it('orders tasks by logical clock, whatever the wall clocks say', () => {
    const state = new ClusterState({ system });
    state.event(anEvent('task-received', { uuid: 'second', clock: 8, timestamp: 1, name: 'x' }));
    state.event(anEvent('task-received', { uuid: 'first', clock: 3, timestamp: 9, name: 'y' }));
    state.event(anEvent('task-received', { uuid: 'third', clock: 9, timestamp: 5, name: 'x', hostname: 'w2@host' }));
    const ids = (tasks: TaskState[]): string[] => tasks.map(({ uuid }) => uuid);
    expect(ids(state.tasksByTime())).toEqual(['third', 'second', 'first']);
    expect(ids(state.tasksByTime({ order: 'oldest first', limit: 2 }))).toEqual(['first', 'second']);
    expect(ids(state.tasksByType('x'))).toEqual(['third', 'second']);
    expect(ids(state.tasksByWorker('w2@host'))).toEqual(['third']);
    expect(state.taskTypes()).toEqual(['x', 'y']);
  });

  it('knows parents, roots and children in whatever order they come', () => {
    const state = new ClusterState({ system });
    state.event(anEvent('task-received', { uuid: 'child', parentId: 'parent', rootId: 'parent' }));
    expect(state.childrenOf('parent').map(({ uuid }) => uuid)).toEqual(['child']);
    const child = state.tasks.get('child') as TaskState;
    expect(state.parentOf(child)).toBeUndefined();
    state.event(anEvent('task-received', { uuid: 'parent' }));
    expect(state.parentOf(child)?.uuid).toBe('parent');
    expect(state.rootOf(child)?.uuid).toBe('parent');
  });

  it('forgets the tasks that have ended, or all', () => {
    const state = new ClusterState({ system });
    state.event(anEvent('task-succeeded', { uuid: 'done' }));
    state.event(anEvent('task-started', { uuid: 'running' }));
    const counted = state.freezeWhile(() => state.tasks.size, { clearAfter: true });
    expect(counted).toBe(2);
    expect([...state.tasks.keys()]).toEqual(['running']);
    expect([state.eventCount, state.workers.size]).toEqual([0, 0]);
    state.clearTasks({ ready: false });
    expect(state.tasks.size).toBe(0);
  });

  it.each([
    ['no dash', { type: 'nonsense' }],
    ['no subject', { type: 'task-' }],
    ['another group', { type: 'beat-tick' }],
    ['no uuid', { type: 'task-received' }],
    ['a uuid that is no text', { type: 'task-received', uuid: 12 }],
    ['an empty uuid', { type: 'task-received', uuid: '' }],
  ])('counts and lets pass an event with %s', (_, event) => {
    const state = new ClusterState({ system });
    state.event(anEvent(event.type, event));
    expect([state.eventCount, state.tasks.size, state.workers.size]).toEqual([1, 0, 0]);
  });
});

/**
 * The cluster as its events tell it: workers and tasks, bounded in number, merged by the rules of Celery's
 * `celery.events.state.State`. Fed by an `EventReceiver`; asks nobody anything.
 */
import type { System } from '../core/system.ts';
import type { ReceivedEvent } from './receiver.ts';
import { TaskState } from './task-state.ts';
import { WorkerState } from './worker-state.ts';

export interface ClusterStateOptions {
  readonly system: System;
  /** Default: 5,000. Those known longest go first, a hundredth at a time. */
  readonly maxWorkers?: number | undefined;
  /** Default: 10,000. Those known longest go first, a hundredth at a time. */
  readonly maxTasks?: number | undefined;
  /** Called with each event before it is taken in. */
  readonly onEvent?: ((event: ReceivedEvent) => void) | undefined;
  readonly onNodeJoin?: ((worker: WorkerState) => void) | undefined;
  readonly onNodeLeave?: ((worker: WorkerState) => void) | undefined;
}

export interface TaskQuery {
  /** Default: all. */
  readonly limit?: number | undefined;
  /** Default: the latest first. */
  readonly order?: 'latest first' | 'oldest first' | undefined;
}

/** Beyond this the clocks of two hosts are said to be out of step, once for each host. */
const mostDriftMs = 16_000;
const mostNamesKept = 10_000;

export class ClusterState {
  readonly #system: System;
  readonly #options: ClusterStateOptions;
  readonly #maxWorkers: number;
  readonly #maxTasks: number;
  readonly #workers = new Map<string, WorkerState>();
  readonly #tasks = new Map<string, TaskState>();
  /** Parent id → ids of its children. Either may be unknown still, or again. */
  readonly #children = new Map<string, Set<string>>();
  readonly #seenTypes = new Set<string>();
  readonly #drifting = new Set<string>();
  #eventCount = 0;
  #taskCount = 0;

  constructor(options: ClusterStateOptions) {
    this.#system = options.system;
    this.#options = options;
    this.#maxWorkers = options.maxWorkers ?? 5_000;
    this.#maxTasks = options.maxTasks ?? 10_000;
  }

  get workers(): ReadonlyMap<string, WorkerState> {
    return this.#workers;
  }

  get tasks(): ReadonlyMap<string, TaskState> {
    return this.#tasks;
  }

  /** Events taken in. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** `task-received` events taken in. */
  get taskCount(): number {
    return this.#taskCount;
  }

  /** Takes in an event of a worker or a task; what is neither only counts. */
  event(event: ReceivedEvent): void {
    this.#eventCount += 1;
    this.#options.onEvent?.(event);
    const dash = event.type.indexOf('-');
    const subject = event.type.slice(dash + 1);
    if (dash < 0 || subject === '') return;
    const group = event.type.slice(0, dash);
    if (group === 'worker') this.#workerEvent(subject, event);
    else if (group === 'task') this.#taskEvent(subject, event);
  }

  /** Workers whose last sign of life is less than two heartbeats old. */
  aliveWorkers(): WorkerState[] {
    return [...this.#workers.values()].filter((worker) => worker.alive);
  }

  /** Tasks in the order of their last events: by logical clock, then by time. Celery: `tasks_by_time`. */
  tasksByTime(query: TaskQuery = {}): TaskState[] {
    return this.#select(() => true, query);
  }

  tasksByType(name: string, query: TaskQuery = {}): TaskState[] {
    return this.#select((task) => task.name === name, query);
  }

  tasksByWorker(hostname: string, query: TaskQuery = {}): TaskState[] {
    return this.#select((task) => task.worker?.hostname === hostname, query);
  }

  /** Every task name seen, sorted. */
  taskTypes(): string[] {
    return [...this.#seenTypes].sort();
  }

  /** The tasks that this one sent, as far as they are known. */
  childrenOf(uuid: string): TaskState[] {
    return [...(this.#children.get(uuid) ?? [])].flatMap((id) => this.#tasks.get(id) ?? []);
  }

  parentOf(task: TaskState): TaskState | undefined {
    return task.fields.parentId === undefined ? undefined : this.#tasks.get(task.fields.parentId);
  }

  rootOf(task: TaskState): TaskState | undefined {
    return task.fields.rootId === undefined ? undefined : this.#tasks.get(task.fields.rootId);
  }

  /** Forgets the tasks that have ended, or with `ready: false` every task. Celery: `clear_tasks`. */
  clearTasks(options: { ready?: boolean } = {}): void {
    const keepsUnready = options.ready ?? true;
    for (const task of [...this.#tasks.values()]) {
      if (!keepsUnready || task.ready) this.#forget(task);
    }
  }

  /** Forgets workers, counts, and tasks as `clearTasks` does. */
  clear(options: { ready?: boolean } = {}): void {
    this.#workers.clear();
    this.clearTasks(options);
    this.#eventCount = 0;
    this.#taskCount = 0;
  }

  /** Runs `body` on a state that does not change under it, and may clear it afterwards: how a camera takes its picture. */
  freezeWhile<R>(body: () => R, options: { clearAfter?: boolean } = {}): R {
    try {
      return body();
    } finally {
      if (options.clearAfter === true) this.clear();
    }
  }

  #workerEvent(subject: string, event: ReceivedEvent): void {
    const isOffline = subject === 'offline';
    const known = this.#workers.get(event.hostname);
    const worker = known ?? new WorkerState(event.hostname, this.#system);
    if (known === undefined && !isOffline) this.#addWorker(worker);
    worker.learn(subject, event);
    this.#watchDrift(event);
    const { onNodeJoin, onNodeLeave } = this.#options;
    if (!isOffline && (known === undefined || subject === 'online')) onNodeJoin?.(worker);
    if (!isOffline) return;
    this.#workers.delete(event.hostname);
    onNodeLeave?.(worker);
  }

  #taskEvent(subject: string, event: ReceivedEvent): void {
    const { uuid } = event;
    if (typeof uuid !== 'string' || uuid === '') return;
    const task = this.#tasks.get(uuid) ?? this.#addTask(uuid);
    if (subject === 'sent') {
      task.client = event.hostname;
    } else {
      const worker =
        this.#workers.get(event.hostname) ?? this.#addWorker(new WorkerState(event.hostname, this.#system));
      worker.beat(event.localReceived);
      task.worker = worker;
    }
    if (subject === 'received') this.#taskCount += 1;
    task.learn(subject, event);
    if (task.name !== undefined && this.#seenTypes.size < mostNamesKept) this.#seenTypes.add(task.name);
    this.#adoptBy(task);
  }

  #addWorker(worker: WorkerState): WorkerState {
    if (this.#workers.size >= this.#maxWorkers) {
      for (const { hostname } of oldest(this.#workers, this.#maxWorkers)) this.#workers.delete(hostname);
    }
    this.#workers.set(worker.hostname, worker);
    return worker;
  }

  #addTask(uuid: string): TaskState {
    if (this.#tasks.size >= this.#maxTasks) {
      for (const task of oldest(this.#tasks, this.#maxTasks)) this.#forget(task);
    }
    const task = new TaskState(uuid);
    this.#tasks.set(uuid, task);
    return task;
  }

  #adoptBy(task: TaskState): void {
    const { parentId } = task.fields;
    if (parentId === undefined) return;
    const siblings = this.#children.get(parentId);
    if (siblings === undefined) this.#children.set(parentId, new Set([task.uuid]));
    else siblings.add(task.uuid);
  }

  #forget(task: TaskState): void {
    this.#tasks.delete(task.uuid);
    const { parentId } = task.fields;
    const siblings = parentId === undefined ? undefined : this.#children.get(parentId);
    siblings?.delete(task.uuid);
    if (parentId !== undefined && siblings?.size === 0) this.#children.delete(parentId);
  }

  #select(fits: (task: TaskState) => boolean, query: TaskQuery): TaskState[] {
    const sign = query.order === 'oldest first' ? 1 : -1;
    const found = [...this.#tasks.values()].filter(fits).sort((a, b) => sign * inTime(a, b));
    return query.limit === undefined ? found : found.slice(0, query.limit);
  }

  #watchDrift({ hostname, timestamp, localReceived }: ReceivedEvent): void {
    const driftMs = Math.abs(localReceived - timestamp);
    if (driftMs <= mostDriftMs || this.#drifting.has(hostname) || this.#drifting.size >= this.#maxWorkers) return;
    this.#drifting.add(hostname);
    const driftSeconds = Math.round(driftMs / 1000);
    this.#system.log.warn({ hostname, driftSeconds }, 'The clock of a worker differs from ours');
  }
}

/** The hundredth of a full map that goes first: one by one, finding the first entry behind many deleted ones is dear. */
function oldest<V>(among: ReadonlyMap<string, V>, limit: number): V[] {
  const found: V[] = [];
  for (const value of among.values()) {
    found.push(value);
    if (found.length >= limit / 100) break;
  }
  return found;
}

/** By logical clock where both have one (the same value is told apart by the sender), else by time. */
function inTime(a: TaskState, b: TaskState): number {
  if (a.clock > 0 && b.clock > 0) {
    return a.clock - b.clock || compare(a.origin ?? '', b.origin ?? '') || compare(a.uuid, b.uuid);
  }
  return (a.timestamp ?? 0) - (b.timestamp ?? 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

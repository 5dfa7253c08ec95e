/**
 * Running a task in the caller's process: `apply()` and `taskAlwaysEager` as a worker would run it, retries and
 * callbacks included, and the plain call `add(1, 1)`.
 */
import type { Publication } from '../core/envelope.ts';
import { Retry } from '../core/errors.ts';
import type { System } from '../core/system.ts';
import {
  Abort,
  type Call,
  checkArguments,
  checkResult,
  type EncodedResult,
  type ExecutionHost,
  type Job,
  type RunListener,
  type Traced,
  trace,
} from '../execution/index.ts';
import { encodeTask, type OutgoingTask } from '../message/index.ts';
import { type AnyTask, BoundTask, currentRun, definition, inRun, type Run, type TaskRequest } from '../task/index.ts';

/** Follow-ups of an eager run, in order, to be run in place. */
type Next = { readonly call: Call } | { readonly again: OutgoingTask };

/** Where results of eager runs go (`storeEagerResult`). */
export type StoreEagerly = (result: EncodedResult) => Promise<void>;

/**
 * Runs a message here, then what follows it: a retry or a replacement in its place, callbacks and links after it.
 * Gives the outcome of the task itself: of its last retry, or of what replaced it.
 */
export async function applyEagerly(host: ExecutionHost, message: OutgoingTask, store: StoreEagerly): Promise<Traced> {
  const outcomes = new Map<string, Traced>();
  const run = async (one: OutgoingTask): Promise<Traced> => {
    const next: Next[] = [];
    const traced = await traceMessage(host, one, next, store);
    outcomes.set(one.id, traced);
    for (const follow of next) {
      if ('call' in follow) await run(callMessage(follow.call));
      else if (traced.state === 'RETRY') await run(follow.again);
    }
    return traced;
  };
  const first = await run(message);
  return outcomes.get(message.id) ?? first;
}

async function traceMessage(
  host: ExecutionHost,
  message: OutgoingTask,
  next: Next[],
  store: StoreEagerly,
): Promise<Traced> {
  const stores = host.tasks.get(message.task)?.[definition].resolved().storeEagerResult === true;
  const collecting: ExecutionHost = {
    ...pick(host),
    // What is not stored does not have to be encoded.
    resultForm: stores ? host.resultForm : 'none',
    prepareCall: (call): Publication | undefined => void next.push({ call }),
    prepareMessage: (again): Publication | undefined => void next.push({ again: { ...again, eta: undefined } }),
  };
  const { properties, headers, body } = encodeTask(message, host.codec);
  const job: Job = {
    id: message.id,
    task: message.task,
    headers,
    properties,
    body,
    deliveryInfo: { exchange: '', routingKey: '', priority: message.priority, redelivered: false },
    softTimeLimit: undefined,
    timeLimit: undefined,
    crashes: 0,
    isEager: true,
  };
  const states: Promise<void>[] = [];
  const traced = await trace(collecting, job, new Abort(), {
    ...silent,
    state: (result) => void states.push(store(result)),
  });
  await Promise.all(states);
  for (const result of traced.report.results) await store(result);
  return traced;
}

function callMessage(call: Call): OutgoingTask {
  const { taskId, kwargs, link, linkError, chain, chord, ...options } = call.options;
  return {
    id: taskId,
    task: call.task,
    args: call.args,
    kwargs: kwargs ?? {},
    embed: {
      callbacks: link as never,
      errbacks: linkError as never,
      chain: chain as never,
      chord: (chord ?? undefined) as never,
    },
    rootId: options.rootId,
    parentId: options.parentId,
    group: options.groupId,
    groupIndex: options.groupIndex,
    headers: options.headers,
  };
}

function pick(host: ExecutionHost): ExecutionHost {
  return {
    system: host.system,
    tasks: host.tasks,
    codec: host.codec,
    nodeName: host.nodeName,
    signals: host.signals,
    resultForm: host.resultForm,
    resultSerializer: host.resultSerializer,
    resultExtended: host.resultExtended,
    inheritsPriority: host.inheritsPriority,
    prepareCall: (call) => host.prepareCall(call),
    prepareMessage: (task, address) => host.prepareMessage(task, address),
    isAborted: (taskId) => host.isAborted(taskId),
  };
}

const silent: RunListener = { started: () => {}, state: () => {}, event: () => {} };

/**
 * Calls the body as a function: inside a run with that run's `self`, else with a request that says so. Schemas check
 * and transform as at a worker; one that answers later makes the call a promise.
 */
export function callDirectly(system: System, task: AnyTask, args: readonly unknown[]): unknown {
  const { options } = task[definition];
  if (options.args === undefined && options.result === undefined) return callBody(system, task, args);
  const checked = checkArguments(task.name, options, args, {});
  const value = whenThere(checked, (ready) => callBody(system, task, ready as readonly unknown[]));
  return whenThere(value, (ready) => checkResult(task.name, options, ready));
}

function callBody(system: System, task: AnyTask, args: readonly unknown[]): unknown {
  const { run: body, selfForm } = task[definition];
  const call = body as (...all: unknown[]) => unknown;
  if (selfForm === 'none') return call(...args);
  const run = directRun(system, task, args, currentRun());
  return inRun(run, () => (selfForm === 'parameter' ? call(run.self, ...args) : call(...args)));
}

function whenThere(value: unknown, use: (ready: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(use) : use(value);
}

function directRun(system: System, task: AnyTask, args: readonly unknown[], outer: Run | undefined): Run {
  const request: TaskRequest = {
    ...noMessage,
    id: outer?.request.id ?? '',
    rootId: outer?.request.rootId ?? '',
    task: task.name,
    args,
    hostname: outer?.request.hostname ?? system.hostname,
  };
  const run: Run = {
    request,
    signal: outer?.signal ?? new AbortController().signal,
    publications: [],
    pendingSends: outer?.pendingSends ?? new Set(),
    children: [],
    self: new BoundTask(task, () => run, {
      log: system.log.child({ name: 'celery.task', task: task.name }),
      updateState: () => {},
      sendEvent: () => {},
      scheduleRetry: () => {},
      replace: (signature) => {
        throw new Retry(`${task.name} was called directly, so it cannot be replaced by ${signature.task}`);
      },
      isAborted: async () => false,
    }),
  };
  return run;
}

const noMessage = {
  kwargs: {},
  retries: 0,
  eta: undefined,
  expires: undefined,
  parentId: undefined,
  group: undefined,
  groupIndex: undefined,
  origin: undefined,
  replyTo: undefined,
  correlationId: undefined,
  timelimit: [undefined, undefined],
  timeLimit: undefined,
  softTimeLimit: undefined,
  shadow: undefined,
  ignoreResult: false,
  isEager: false,
  calledDirectly: true,
  redelivered: false,
  deliveryCount: 0,
  deliveryInfo: { exchange: '', routingKey: '', priority: undefined, redelivered: false },
  properties: {},
  headers: {},
  callbacks: [],
  errbacks: [],
  chain: [],
  chord: undefined,
  replacedTaskNesting: 0,
  stampedHeaders: [],
  stamps: {},
  children: [],
} as const satisfies Partial<TaskRequest>;

/**
 * One run of one body: decodes the message's body, enters the task context, runs the function and turns whatever
 * happened into a `Report`, everything that is to be published or stored already encoded.
 * `Retry`, `Ignore` and `Reject` are caught here and nowhere else.
 */
import { ArgumentsInvalid, ChordError, Ignore, Reject, ResultInvalid, Retry, TaskPredicate } from '../core/errors.ts';
import {
  decodeTaskBody,
  exceptionRepr,
  prepared,
  pythonRepr,
  type TaskBody,
  toError,
  tracebackText,
} from '../message/index.ts';
import {
  automaticDelaySeconds,
  type BoundTask,
  definition,
  inRun,
  isOneOf,
  type ResolvedOptions,
  retriesByItself,
  sendFailure,
} from '../task/index.ts';
import { Abort } from './abort.ts';
import { type Ancestry, afterFailure, afterSuccess, type FollowUps } from './follow-ups.ts';
import type { ExecutionHost, Tracer } from './host.ts';
import type { EncodedResult, Job, Outcome, Report, RunListener } from './outcome.ts';
import { TaskRun } from './run.ts';
import { checkArguments, checkResult, isThenable } from './schema.ts';

/** What a run left behind in this process, beside its report: for eager calls. */
export interface Traced {
  readonly report: Report;
  readonly state: string;
  /** The return value, or the error. */
  readonly value: unknown;
}

export function createTracer(host: ExecutionHost): Tracer {
  return {
    run: async (job, abort, listener) => (await trace(host, job, abort, listener)).report,
    fail: async (job, error) => (await within(host, job, new Abort(), silent, (run) => end(run, error))).report,
  };
}

/** What `autoretryFor` never catches: the steering of a run, and what another run would meet again. */
const neverRetried = [TaskPredicate, ArgumentsInvalid, ResultInvalid] as const;

const silent: RunListener = { started: () => undefined, state: () => undefined, event: () => undefined };

/** Runs a job. Never rejects: a failure of this program is reported as a failure of the task and logged. */
export function trace(host: ExecutionHost, job: Job, abort: Abort, listener: RunListener): Promise<Traced> {
  return within(host, job, abort, listener, async (run) => {
    try {
      return await succeed(run, await perform(run));
    } catch (error) {
      return await end(run, error);
    }
  });
}

/** Decodes the message's body and enters the context of its task. */
async function within(
  host: ExecutionHost,
  job: Job,
  abort: Abort,
  listener: RunListener,
  go: (run: TaskRun) => Promise<Traced>,
): Promise<Traced> {
  const task = host.tasks.get(job.task);
  let body: TaskBody;
  try {
    if (task === undefined) throw new Error(`no task named '${job.task}' is registered where it should run`);
    const decoded = prepared(() => decodeTaskBody(job.headers, job.properties, job.body, host.codec));
    body = isThenable(decoded) ? await decoded : decoded;
  } catch (error) {
    return without({ kind: 'undecodable', reason: toError(error).message }, 'REJECTED', error);
  }
  const run = new TaskRun(host, task, job, body, abort, listener);
  return inRun(run, () => go(run));
}

/** Signals and hooks, then the body, then the sends nobody awaited. */
async function perform(run: TaskRun): Promise<unknown> {
  const { body, host, job, task } = run;
  const { options, resolved, run: call, selfForm } = task[definition];
  const { taskPrerun } = host.signals;
  if (taskPrerun.hasReceivers) {
    await taskPrerun.send(task, { taskId: job.id, task, args: body.args, kwargs: body.kwargs });
  }
  if (resolved().trackStarted && !run.ignoresResult) {
    const meta = { pid: host.system.pid, hostname: host.nodeName };
    const started = run.encode(job.id, 'STARTED', meta);
    if (started !== undefined) run.listener.state(started);
  }
  run.listener.started(host.system.pid, host.system.now());
  if (options.beforeStart !== undefined) await options.beforeStart(run.self, job.id, body.args, body.kwargs);
  const checked = checkArguments(task.name, options, body.args, body.kwargs);
  const args = isThenable(checked) ? await checked : checked;
  if (run.abort.reason !== undefined) throw run.abort.reason;
  const plain = call as (...all: unknown[]) => unknown;
  let value = selfForm === 'parameter' ? plain(run.self, ...args) : plain(...args);
  if (isThenable(value)) value = await value;
  if (run.pendingSends.size > 0) await drain(run);
  return checkResult(task.name, options, value);
}

async function succeed(run: TaskRun, value: unknown): Promise<Traced> {
  const { body, host, job, task } = run;
  const { callbacks = [], chain = [], chord } = body.embed;
  const results: EncodedResult[] = [];
  if (callbacks.length > 0 || chain.length > 0) {
    prepare(run, afterSuccess({ callbacks, chain }, value, ancestryOf(run)));
  }
  if (chord !== undefined) failChord(run, results);
  if (!run.ignoresResult) {
    const encoded = run.encode(job.id, 'SUCCESS', value);
    if (encoded !== undefined) results.push(encoded);
  }
  const { runtimeSeconds } = run;
  const { options, resolved } = task[definition];
  const { args, kwargs } = body;
  if (options.onSuccess !== undefined) await hook(run, options.onSuccess, value, job.id, args, kwargs);
  if (host.signals.taskSuccess.hasReceivers) await host.signals.taskSuccess.send(task, { result: value });
  await finish(run, 'SUCCESS', value);
  const resultRepr = pythonRepr(value, resolved().resultreprMaxsize);
  return {
    report: { outcome: { kind: 'succeeded', runtimeSeconds, resultRepr }, publications: run.publications, results },
    state: 'SUCCESS',
    value,
  };
}

/** Everything but success. */
async function end(run: TaskRun, thrown: unknown): Promise<Traced> {
  await drain(run).catch(() => undefined); // the body's own error says more than a send's
  const error = isAbortError(thrown) ? (run.abort.reason ?? thrown) : thrown;
  if (error instanceof Retry) return retried(run, error);
  if (error instanceof Ignore) {
    const { onReplace } = run.task[definition].options;
    if (run.replacement !== undefined && onReplace !== undefined) await hook(run, onReplace, run.replacement);
    await post(run, 'IGNORED', error);
    return {
      report: { outcome: { kind: 'ignored' }, publications: run.publications, results: [] },
      state: 'IGNORED',
      value: error,
    };
  }
  if (error instanceof Reject) {
    await post(run, 'REJECTED', error);
    const outcome: Outcome = { kind: 'rejected', requeue: error.requeue, reason: String(error.reason ?? '') };
    return { report: { outcome, publications: run.publications, results: [] }, state: 'REJECTED', value: error };
  }
  const { options, resolved } = run.task[definition];
  if (!isOneOf(error, neverRetried) && retriesByItself(options, error)) {
    const countdown = automaticDelaySeconds(options, run.message.retries, () => run.host.system.random());
    const maxRetries = options.retryKwargs?.maxRetries;
    try {
      run.self.retry({ exc: error, countdown, ...(maxRetries === undefined ? {} : { maxRetries }) });
    } catch (next) {
      if (next instanceof Retry) return retried(run, next);
      return failed(run, next, resolved());
    }
  }
  return failed(run, error, resolved());
}

async function retried(run: TaskRun, retry: Retry): Promise<Traced> {
  const { host, job, task } = run;
  const reason = retry.exc ?? retry;
  const traceback = tracebackText(reason);
  const encoded = run.ignoresResult ? undefined : run.encode(job.id, 'RETRY', toError(reason), traceback);
  const { options } = task[definition];
  const { args, kwargs } = run.body;
  if (options.onRetry !== undefined) await hook(run, options.onRetry, reason, job.id, args, kwargs, traceback);
  if (host.signals.taskRetry.hasReceivers) await host.signals.taskRetry.send(task, { request: run.request, reason });
  await post(run, 'RETRY', retry);
  const delaySeconds =
    retry.when instanceof Date ? Math.max(0, (retry.when.getTime() - host.system.now()) / 1000) : (retry.when ?? 0);
  return {
    report: {
      outcome: { kind: 'retrying', reasonRepr: exceptionRepr(reason), traceback, delaySeconds },
      publications: run.publications,
      results: encoded === undefined ? [] : [encoded],
    },
    state: 'RETRY',
    value: retry,
  };
}

async function failed(run: TaskRun, thrown: unknown, resolved: ResolvedOptions): Promise<Traced> {
  const { body, host, job, task } = run;
  const error = toError(thrown);
  const traceback = tracebackText(thrown);
  const results: EncodedResult[] = [];
  const { chain = [], chord, errbacks = [] } = body.embed;
  const { options } = task[definition];
  try {
    if (errbacks.length > 0) prepare(run, afterFailure(errbacks, job.id, ancestryOf(run)));
    if (!run.ignoresResult || resolved.storeErrorsEvenIfIgnored) {
      const own = run.encode(job.id, 'FAILURE', error, traceback);
      if (own !== undefined) results.push(own);
    }
    // What the chain still had before it fails with the same error, so that nobody waits for it.
    for (const id of chainIds(chain)) {
      const ofLink = run.encode(id, 'FAILURE', error, traceback);
      if (ofLink !== undefined) results.push(ofLink);
    }
    if (chord !== undefined) failChord(run, results);
  } catch (problem) {
    await internalError(run, problem);
  }
  const { runtimeSeconds } = run;
  const { args, kwargs } = body;
  if (options.onFailure !== undefined) await hook(run, options.onFailure, error, job.id, args, kwargs, traceback);
  if (host.signals.taskFailure.hasReceivers) {
    await host.signals.taskFailure.send(task, { taskId: job.id, exception: error, args, kwargs, traceback });
  }
  await finish(run, 'FAILURE', error, traceback);
  const isExpected = isOneOf(thrown, options.throws ?? []);
  return {
    report: {
      outcome: { kind: 'failed', runtimeSeconds, exceptionRepr: exceptionRepr(thrown), traceback, isExpected },
      publications: run.publications,
      results,
    },
    state: 'FAILURE',
    value: error,
  };
}

function prepare(run: TaskRun, followUps: FollowUps): void {
  if (run.task[definition].options.trail !== false) run.children.push(...followUps.children);
  for (const call of followUps.calls) {
    const publication = run.host.prepareCall(call);
    if (publication !== undefined) run.publications.push(publication);
  }
}

function ancestryOf(run: TaskRun): Ancestry {
  const { host, job, message } = run;
  const inherited = host.inheritsPriority ? message.priority : undefined;
  return {
    parentId: job.id,
    rootId: message.rootId ?? job.id,
    ...(inherited === undefined ? {} : { priority: inherited }),
    newId: () => host.system.newId(),
  };
}

/** Chords need a backend that counts their parts; here the body's waiting caller is told instead of left waiting. */
function failChord(run: TaskRun, results: EncodedResult[]): void {
  const { chord } = run.body.embed;
  const id = taskIdOf(chord);
  run.host.system.log.error({ taskId: run.job.id, task: run.task.name }, 'A chord cannot be completed by this worker');
  if (id === undefined) return;
  const error = new ChordError('Chords are not supported by this worker');
  const encoded = run.encode(id, 'FAILURE', error);
  if (encoded !== undefined) results.push(encoded);
}

/** The tasks of a chain that are still to come, by id. */
export function chainIds(chain: readonly unknown[]): string[] {
  return chain.flatMap((link) => {
    const id = taskIdOf(link);
    return id === undefined ? [] : [id];
  });
}

function taskIdOf(signature: unknown): string | undefined {
  const id = (signature as { options?: { task_id?: unknown } } | null | undefined)?.options?.task_id;
  return typeof id === 'string' ? id : undefined;
}

/** `afterReturn` and the postrun signal: after success and failure. */
async function finish(run: TaskRun, state: string, value: unknown, traceback?: string): Promise<void> {
  const { body, job, task } = run;
  const { afterReturn } = task[definition].options;
  if (afterReturn !== undefined) await hook(run, afterReturn, state, value, job.id, body.args, body.kwargs, traceback);
  await post(run, state, value);
}

async function post(run: TaskRun, state: string, retval: unknown): Promise<void> {
  const { body, host, job, task } = run;
  const { taskPostrun } = host.signals;
  if (!taskPostrun.hasReceivers) return;
  await taskPostrun.send(task, { taskId: job.id, task, args: body.args, kwargs: body.kwargs, retval, state });
}

/** A hook that throws is a failure of the hook, not of the task. */
async function hook<A extends unknown[]>(
  run: TaskRun,
  call: (self: BoundTask, ...args: A) => unknown,
  ...args: A
): Promise<void> {
  try {
    await call(run.self, ...args);
  } catch (error) {
    await internalError(run, error);
  }
}

async function internalError(run: TaskRun, error: unknown): Promise<void> {
  run.host.system.log.error(
    { err: error, taskId: run.job.id, task: run.task.name },
    'A task could not be finished properly',
  );
  const { taskInternalError } = run.host.signals;
  if (!taskInternalError.hasReceivers) return;
  await taskInternalError.send(run.task, { taskId: run.job.id, request: run.request, exception: error });
}

/** Waits for sends the body did not await. @throws the first error that nobody has seen. */
async function drain(run: TaskRun): Promise<void> {
  while (run.pendingSends.size > 0) {
    const pending = [...run.pendingSends];
    run.pendingSends.clear();
    const settled = await Promise.allSettled(pending.map(sendFailure));
    for (const one of settled) if (one.status === 'fulfilled' && one.value !== undefined) throw one.value;
  }
}

function without(outcome: Outcome, state: string, value: unknown): Traced {
  return { report: { outcome, publications: [], results: [] }, state, value };
}

function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/**
 * Inside a child, process or thread: takes jobs, runs them through the app's tracer and sends the reports back or writes them
 * down (`logbook.ts`), one by one and before the next body starts, so that a child that dies takes only what it was running.
 * Life: `open` (load the app, `processInit`) → `run` … → `exit` (`processShutdown`), or `hangUp` when the parent is gone.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { pino } from 'pino';
import { ImproperlyConfigured, SoftTimeLimitExceeded, Terminated } from '../../core/errors.ts';
import { nodeSystem, type System } from '../../core/system.ts';
import {
  Abort,
  type EncodedResult,
  type Job,
  type Report,
  type RunListener,
  type Tracer,
} from '../../execution/index.ts';
import { toError } from '../../message/index.ts';
import type { LoadedTracer, LoadTracer } from './options.ts';
import { captureOutput } from './output.ts';
import { Claimant } from './prefork/claims.ts';
import { LogbookWriter } from './prefork/logbook.ts';
import { brokenReport } from './reports.ts';
import { type StrayKind, watchStrayErrors } from './stray-errors.ts';
import { ChildVoice, type TaskOutput } from './voice.ts';
import {
  type AbortCause,
  type ChildSettings,
  type Done,
  type FromChild,
  longestWindow,
  packError,
  packReport,
  packResult,
  sendable,
  type ToChild,
  unpackJob,
} from './wire.ts';

/** The child's end of the line. */
export interface ChildPort {
  readonly pid: number;
  /** @throws when the message cannot be serialized */
  send(message: FromChild): void;
  /** Ends this child when what was sent is out. */
  exit(exitCode: number): void;
  /** What `maxMemory` is about, in KiB. */
  memoryKib(): number;
}

type PackedJobs = ToChild extends infer M ? (M extends readonly ['run', ...infer J] ? J : never) : never;

/** How long the hooks of an exit may take: asked for, or because the parent is gone. */
const shutdownMs = 2000;
const hangUpMs = 250;

export class ChildRuntime {
  readonly #port: ChildPort;
  readonly #voice: ChildVoice;
  readonly #slots = new Map<number, Slot>();
  readonly #here = new AsyncLocalStorage<Slot | undefined>();
  /** Handed ahead, not yet claimed. */
  #ahead: PackedJobs[number][] = [];
  /** Claimed before its message has arrived. */
  #awaited: number | undefined;
  #claimant: Claimant | undefined;
  #logbook: LogbookWriter | undefined;
  #maxMemory = Number.POSITIVE_INFINITY;
  #loaded: LoadedTracer | undefined;
  #system: System = nodeSystem();
  #isReady = false;
  #isExiting = false;
  #worn: string | undefined;

  constructor(port: ChildPort) {
    this.#port = port;
    this.#voice = new ChildVoice(
      (message) => port.send(message),
      () => this.#system.monotonic(),
    );
    watchStrayErrors({
      owns: () => true,
      take: (error, kind) => {
        const slot = this.#here.getStore();
        this.#here.run(undefined, () => this.#onStray(slot, error, kind));
      },
    });
    this.#voice.send(['up']);
  }

  receive(message: ToChild): void {
    switch (message[0]) {
      case 'open':
        void this.#open(message[1]);
        return;
      case 'run': {
        const [, ...jobs] = message;
        for (const job of jobs) this.#take(job);
        if (this.#slots.size === 0) this.#claimNext();
        return;
      }
      case 'abort':
        this.#slots.get(message[1])?.abort.abort(abortReason(message[2], message[3]));
        return;
      case 'exit':
        void this.#exit(0, shutdownMs);
    }
  }

  /** The parent is gone: nobody wants what runs here any more. */
  hangUp(): void {
    for (const slot of this.#slots.values()) slot.abort.abort(new Terminated('The worker is gone'));
    void this.#exit(1, hangUpMs);
  }

  async #open(settings: ChildSettings): Promise<void> {
    try {
      const log = pino(
        { level: settings.logLevel, base: null },
        { write: (record: string) => this.#voice.log(record) },
      );
      this.#system = nodeSystem({ log });
      this.#maxMemory = settings.maxMemory ?? Number.POSITIVE_INFINITY;
      if (settings.files !== undefined) {
        this.#claimant = new Claimant(settings.files.claims);
        this.#logbook = new LogbookWriter(settings.files.logbook);
      }
      if (settings.redirectsOutput) this.#capture();
      const { url, exportName = 'loadTracer', data } = settings.module;
      const module: Readonly<Record<string, unknown>> = await import(url);
      const load = module[exportName];
      if (!isLoadTracer(load)) {
        throw new ImproperlyConfigured(`${url} was to export a function '${exportName}'; that is ${typeof load}.`);
      }
      this.#loaded = await load({ kind: settings.kind, index: settings.index, system: this.#system, data });
      this.#voice.send(['loaded']);
      await this.#loaded.processInit?.();
      this.#isReady = true;
      this.#voice.send(['ready']);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#isExiting) return;
    this.#isExiting = true;
    this.#voice.send(['failed', packError(error)]);
    this.#port.exit(1);
  }

  #take(packed: PackedJobs[number]): void {
    const [seq, isAhead] = packed;
    if (isAhead === 1) {
      this.#ahead.push(packed);
      return;
    }
    this.#ahead = []; // the parent knows a free slot: what was handed ahead before has been taken back
    if (this.#worn === undefined && !this.#isExiting) void this.#run(seq, unpackJob(packed));
    else this.#voice.send(['back', seq]);
  }

  #claimNext(): void {
    if (this.#claimant === undefined) return;
    const takesNoMore = this.#worn !== undefined || this.#isExiting;
    if (this.#awaited === undefined) {
      if (takesNoMore || this.#ahead.length === 0) return;
      this.#awaited = this.#claimant.claim();
    }
    const at = this.#ahead.findIndex(([seq]) => seq === this.#awaited);
    const mine = this.#ahead[at];
    this.#ahead = mine === undefined ? [] : this.#ahead.slice(at + 1); // those before it were taken back
    if (mine === undefined) return;
    this.#awaited = undefined;
    if (takesNoMore) this.#voice.send(['back', mine[0]]);
    else void this.#run(mine[0], unpackJob(mine));
  }

  async #run(seq: number, job: Job): Promise<void> {
    const slot = new Slot(seq, job, this.#system.monotonic(), this.#voice);
    this.#slots.set(seq, slot);
    const report = await this.#trace(slot, (tracer) => tracer.run(job, slot.abort, slot));
    if (!slot.hasStrayed) this.#finish(slot, report);
  }

  async #trace(slot: Slot, go: (tracer: Tracer) => Promise<Report>): Promise<Report> {
    try {
      if (this.#loaded === undefined) throw new Error('A job came before the app was loaded.');
      const { tracer } = this.#loaded;
      return await this.#here.run(slot, () => go(tracer));
    } catch (error) {
      return brokenReport(error);
    }
  }

  #finish(slot: Slot, report: Report): void {
    slot.end();
    this.#slots.delete(slot.seq);
    if (this.#maxMemory !== Number.POSITIVE_INFINITY && this.#worn === undefined) {
      const kib = this.#port.memoryKib();
      if (kib > this.#maxMemory) this.#wear(`uses ${Math.round(kib)} KiB of memory, more than ${this.#maxMemory}`);
    }
    const done: Done = ['done', slot.seq, this.#system.monotonic() - slot.startedAt, ...packReport(report)];
    const isWritten = this.#write(slot, done);
    if (!isWritten) this.#voice.send(done);
    else if (this.#ahead.length === longestWindow / 2) this.#voice.nudge(); // more may come before this is done
    if (this.#slots.size > 0) return;
    this.#claimNext();
    if (isWritten && this.#slots.size === 0) this.#voice.nudge(); // there was no more after all
  }

  /** True when the report is in the book. A task that said something ends by the pipe, so that this comes first. */
  #write(slot: Slot, done: Done): boolean {
    if (this.#logbook === undefined || this.#ahead.length === 0 || slot.hasSpoken) return false;
    try {
      return this.#logbook.write(done);
    } catch {
      return this.#logbook.write(sendable(done));
    }
  }

  /** From here on no new job starts. */
  #wear(reason: string): void {
    if (this.#worn !== undefined) return;
    this.#worn = reason;
    this.#voice.send(['worn', reason]);
  }

  #onStray(known: Slot | undefined, error: unknown, kind: StrayKind): void {
    if (!this.#isReady) {
      this.#fail(error);
      return;
    }
    // Some ways lose the context (on Node 20, queueMicrotask): with one task running there is no doubt.
    const slot = known ?? (this.#slots.size === 1 ? [...this.#slots.values()][0] : undefined);
    this.#wear(`${kind} in a task`);
    if (slot !== undefined && !slot.isOver && !slot.hasStrayed) {
      slot.hasStrayed = true;
      void this.#failStrayed(slot, toError(error));
      return;
    }
    const whose = slot === undefined ? {} : { task: slot.job.task, taskId: slot.job.id };
    this.#system.log.error({ err: error, ...whose }, `A task left an ${kind} behind; its process is replaced`);
  }

  async #failStrayed(slot: Slot, error: Error): Promise<void> {
    this.#finish(slot, await this.#trace(slot, (tracer) => tracer.fail(slot.job, error)));
    slot.abort.abort(error);
  }

  async #exit(exitCode: number, withinMs: number): Promise<void> {
    if (this.#isExiting) return;
    this.#isExiting = true;
    const deadline = this.#system.sleep(withinMs);
    try {
      await Promise.race([this.#loaded?.processShutdown?.({ pid: this.#port.pid, exitCode }), deadline]);
    } catch (error) {
      this.#system.log.error({ err: error }, 'A hook failed while a pool process was ending');
    }
    this.#voice.flush();
    this.#port.exit(exitCode);
  }

  #capture(): void {
    const elsewhere = this.#voice.writer(undefined);
    captureOutput(() => this.#here.getStore()?.output ?? elsewhere);
  }
}

/** One run. What it says while under way goes out at once. */
class Slot implements RunListener {
  readonly seq: number;
  readonly job: Job;
  readonly startedAt: number;
  readonly abort = new Abort();
  readonly #voice: ChildVoice;
  #output: TaskOutput | undefined;
  readonly #saidBefore: number;
  isOver = false;
  hasStrayed = false;

  constructor(seq: number, job: Job, startedAt: number, voice: ChildVoice) {
    this.seq = seq;
    this.job = job;
    this.startedAt = startedAt;
    this.#voice = voice;
    this.#saidBefore = voice.said;
  }

  /** Something was said while it ran: by it, where nothing runs beside it. */
  get hasSpoken(): boolean {
    return this.#voice.said > this.#saidBefore;
  }

  get output(): TaskOutput {
    this.#output ??= this.#voice.writer(this.job);
    return this.#output;
  }

  /** The parent knew when it handed the job to a free slot. */
  started(): void {}

  state(result: EncodedResult): void {
    if (!this.isOver) this.#voice.send(['state', this.seq, packResult(result)]);
  }

  event(type: string, fields: Readonly<Record<string, unknown>>): void {
    if (!this.isOver) this.#voice.send(['event', this.seq, type, fields]);
  }

  end(): void {
    this.isOver = true;
    this.#output?.end();
  }
}

function isLoadTracer(value: unknown): value is LoadTracer {
  return typeof value === 'function';
}

function abortReason(cause: AbortCause, detail: string): Error {
  return cause === 'soft' ? new SoftTimeLimitExceeded() : new Terminated(detail);
}

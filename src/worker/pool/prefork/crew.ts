/**
 * Keeps as many children alive as were asked for: starts them, waits until they are ready, replaces those that end, slower
 * after each failed start, and lets them go in order. What they run is none of its business.
 */
import { constants } from 'node:os';
import { backoffMs } from '../../../core/backoff.ts';
import type { System } from '../../../core/system.ts';
import { type Departure, describeDeparture, type LinkEvents, type Linker } from '../link.ts';
import { type PoolOptions, PoolStartError } from '../options.ts';
import { type FromChild, unpackError } from '../wire.ts';
import { ChildLog } from './child-log.ts';
import { Member, type Run } from './member.ts';

/** Loading the app may take this many times `procAliveTimeout`. */
const loadFactor = 5;
/** How often a child that is too slow, or cannot be forked, is tried before the pool gives up opening. */
const startAttempts = 3;
const respawnBackoff = { firstMs: 100, longestMs: 30_000, jitter: 'none' } as const;
/** A child that ends sooner than this after it was ready, and has finished nothing, counts as a failed start. */
const settledMs = 1000;
/** How long a child may take to exit when asked to. */
const exitGraceMs = 5000;

/** How much is kept of what a starting child writes. */
const wordsLength = 2000;

export interface CrewEvents {
  /** A child has room. */
  ready(): void;
  message(member: Member, message: FromChild): void;
  /** It is gone: the last moment for what it has written down. */
  leaving(member: Member): void;
  /** Jobs that were handed to a child and not started there. */
  released(runs: readonly Run[]): void;
  /** With what it was running. */
  gone(member: Member, reason: string): void;
}

interface Restart {
  readonly old: ReadonlySet<Member>;
  resolve(): void;
  reject(error: Error): void;
}

export class Crew {
  readonly members = new Set<Member>();
  readonly counts = { spawned: 0, recycled: 0, lost: 0, failedStarts: 0 };
  readonly #linker: Linker;
  readonly #options: PoolOptions;
  readonly #events: CrewEvents;
  readonly #system: System;
  readonly #log: System['log'];
  readonly #childLog: ChildLog;
  readonly #procAliveMs: number;
  readonly #scheduled = new Set<() => void>();
  readonly #onEmpty: (() => void)[] = [];
  #size: number;
  #isStopped = false;
  /** Starts that failed in a row. */
  #failures = 0;
  #opening: { resolve(): void; reject(error: Error): void } | undefined;
  #restart: Restart | undefined;

  constructor(linker: Linker, options: PoolOptions, log: System['log'], events: CrewEvents) {
    this.#linker = linker;
    this.#options = options;
    this.#events = events;
    this.#system = options.system;
    this.#log = log;
    this.#childLog = new ChildLog(options);
    this.#procAliveMs = (options.procAliveTimeoutSeconds ?? 4) * 1000;
    this.#size = Math.max(1, Math.floor(options.size));
  }

  get size(): number {
    return this.#size;
  }

  /** Resolves when every child is ready. @throws {PoolStartError} when one cannot get there */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.maintain();
    });
  }

  resize(size: number): void {
    this.#size = Math.max(1, size);
    const cost = (member: Member): number => (member.state === 'ready' ? 1 : 0) + member.running.size;
    const staying = [...this.members].filter(({ state }) => state === 'starting' || state === 'ready');
    const surplus = Math.max(0, staying.length - this.#size);
    for (const member of staying.sort((a, b) => cost(a) - cost(b)).slice(0, surplus)) this.retire(member);
    this.maintain();
  }

  /** Resolves when as many new children are ready. @throws {PoolStartError} when one fails to start; others are tried on */
  restart(): Promise<void> {
    if (this.#isStopped) return Promise.reject(new PoolStartError('The pool is closing; it cannot be restarted.'));
    this.#restart?.resolve();
    const old = new Set(this.members);
    const done = new Promise<void>((resolve, reject) => {
      this.#restart = { old, resolve, reject };
    });
    this.#failures = 0;
    for (const member of old) this.retire(member);
    return done;
  }

  /** Hands it nothing more, and lets it go when it is idle. */
  retire(member: Member): void {
    if (member.state === 'starting') {
      this.kill(member, 'It is not needed any more.');
      return;
    }
    if (member.state !== 'ready') return;
    member.state = 'retiring';
    this.#events.released(member.recall());
    this.leaveIfDue(member);
    this.maintain();
  }

  /** After a run has ended there. */
  leaveIfDue(member: Member): void {
    const isDue = member.state === 'retiring' || (member.state === 'ready' && member.budget <= 0);
    if (!isDue || !member.isIdle) return;
    if (member.state === 'ready') this.counts.recycled += 1;
    if (member.hasFinishedAny) this.#failures = 0;
    member.state = 'ending';
    member.send(['exit']);
    this.#deadline(member, exitGraceMs, () => this.#end(member));
    this.maintain();
  }

  /** Ends it now; the other tasks that run there are given back. */
  kill(member: Member, reason: string): void {
    if (member.state === 'gone') return;
    member.endedFor ??= reason;
    member.state = 'ending';
    this.#events.released(member.recall());
    this.#end(member);
  }

  /** Nobody is replaced from here on. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#scheduled) cancel();
    this.#scheduled.clear();
    const error = new PoolStartError('The pool was closed before all of its children were ready.');
    this.#opening?.reject(error);
    this.#restart?.reject(error);
    this.#opening = undefined;
    this.#restart = undefined;
  }

  /** Resolves when no child is left. After `stop`. */
  async untilEmpty(): Promise<void> {
    if (this.members.size > 0) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
    this.#linker.close();
  }

  #end(member: Member): void {
    member.link.kill('SIGKILL');
  }

  /** Starts what is missing. */
  maintain(): void {
    if (this.#isStopped) return;
    for (let missing = this.#missing - this.#scheduled.size; missing > 0; missing -= 1) this.#spawnSoon();
  }

  get #missing(): number {
    return this.#size - [...this.members].filter((member) => this.#holdsPlace(member)).length;
  }

  /**
   * One that takes nothing more and still runs something: with one slot its replacement comes when that has ended, so that
   * no more processes run than were asked for; with many slots one long task would keep all the others empty.
   */
  #holdsPlace({ budget, state }: Member): boolean {
    if (state === 'ending') return false;
    return (this.#options.asyncSlots ?? 1) <= 1 || (state !== 'retiring' && budget > 0);
  }

  #spawnSoon(): void {
    if (this.#failures === 0) {
      this.#spawn();
      return;
    }
    const delayMs = backoffMs(this.#failures - 1, respawnBackoff, () => this.#system.random());
    const cancel = this.#system.after(delayMs, () => {
      this.#scheduled.delete(cancel);
      if (this.#missing > 0) this.#spawn();
    });
    this.#scheduled.add(cancel);
  }

  #spawn(): void {
    const { child, maxMemoryPerChild, redirectStdouts = true, lostWaitSeconds = 10, system } = this.#options;
    if (child === undefined) {
      this.#failed(new PoolStartError('A pool of children needs a module to load.'), true);
      return;
    }
    const taken = new Set([...this.members].map(({ index }) => index));
    let index = 1;
    while (taken.has(index)) index += 1;
    const asyncSlots = this.#options.asyncSlots ?? 1;
    try {
      this.#options.beforeCreateProcess?.(index);
      const member = new Member(
        this.#linker,
        {
          kind: this.#linker.kind,
          index,
          module: child,
          maxMemory: maxMemoryPerChild,
          redirectsOutput: redirectStdouts,
          logLevel: system.log.level,
          handsAhead: asyncSlots <= 1,
          maxTasks: this.#options.maxTasksPerChild ?? Number.POSITIVE_INFINITY,
        },
        { redirectsOutput: redirectStdouts, lostWaitMs: lostWaitSeconds * 1000 },
        (self) => this.#eventsOf(self),
      );
      this.members.add(member);
      this.counts.spawned += 1;
      this.#expect(member, this.#procAliveMs, 'come up');
    } catch (error) {
      this.#failed(new PoolStartError('A pool process cannot be started.', { cause: error }), false);
    }
  }

  #eventsOf(member: Member): LinkEvents {
    return {
      message: (message) => {
        try {
          this.#hear(member, message);
        } catch (error) {
          this.#log.error({ err: error, child: member.link.pid }, 'A pool process sent what cannot be understood');
          this.kill(member, 'The process sent what cannot be understood.');
        }
      },
      output: (stream, chunk) => {
        if (member.state === 'starting') noteLastWords(member, chunk.toString('utf8', 0, wordsLength));
        this.#childLog.output(member, stream, chunk);
      },
      gone: (departure) => this.#onGone(member, departure),
    };
  }

  #hear(member: Member, message: FromChild): void {
    switch (message[0]) {
      case 'up':
        this.#expect(member, loadFactor * this.#procAliveMs, 'load the app');
        return;
      case 'loaded':
        this.#expect(member, this.#procAliveMs, 'run the handlers of worker_process_init');
        return;
      case 'ready':
        this.#onReady(member);
        return;
      case 'failed': {
        const cause = unpackError(message[1]);
        const sentence = `A pool process cannot load the app: ${cause.name}: ${cause.message}`;
        member.startError = new PoolStartError(sentence, { cause });
        return;
      }
      case 'worn':
        if (member.state === 'ready') this.counts.recycled += 1;
        if (!this.#hasProvenItself(member)) this.#failures += 1;
        this.#log.info({ child: member.link.pid, reason: message[1] }, 'A pool process is replaced');
        this.retire(member);
        return;
      case 'out':
        if (member.state === 'starting') noteLastWords(member, `${message[4]}\n`);
        this.#childLog.line(member, message[1], message[2], message[3], message[4]);
        return;
      case 'log':
        this.#childLog.record(member, message[1]);
        return;
      case 'many': {
        const [, ...messages] = message;
        for (const one of messages) this.#hear(member, one);
        return;
      }
      default:
        this.#events.message(member, message);
    }
  }

  /** Kills a starting child that does not say the next thing in time. */
  #expect(member: Member, withinMs: number, what: string): void {
    if (member.state !== 'starting') return;
    this.#deadline(member, withinMs, () => {
      const seconds = withinMs / 1000;
      member.isSlowStart = true;
      member.startError = new PoolStartError(
        `A pool process took more than ${seconds} s to ${what}; the setting workerProcAliveTimeout allows for it.`,
      );
      this.#end(member);
    });
  }

  #deadline(member: Member, withinMs: number, act: () => void): void {
    member.cancelDeadline?.();
    member.cancelDeadline = this.#system.after(withinMs, act);
  }

  #onReady(member: Member): void {
    if (member.state !== 'starting') return;
    this.#deadline(member, settledMs, () => {
      this.#failures = 0;
    });
    member.state = 'ready';
    member.readyAt = this.#system.monotonic();
    const ready = [...this.members].filter(({ state }) => state === 'ready');
    if (this.#opening !== undefined && ready.length >= this.#size) {
      this.#opening.resolve();
      this.#opening = undefined;
    }
    const restart = this.#restart;
    if (restart !== undefined && ready.filter((one) => !restart.old.has(one)).length >= this.#size) {
      restart.resolve();
      this.#restart = undefined;
    }
    this.#log.debug({ child: member.link.pid, index: member.index }, 'A pool process is ready');
    this.#events.ready();
  }

  #onGone(member: Member, departure: Departure): void {
    const stateBefore = member.state;
    this.#events.leaving(member);
    const released = member.depart();
    const hadWork = member.running.size > 0;
    this.members.delete(member);
    this.#childLog.forget(member);
    this.#events.released(released);
    const how = `Worker exited prematurely: ${describeDeparture(departure, constants.signals)}.`;
    this.#events.gone(member, how);
    if (stateBefore === 'starting') {
      const words = member.lastWords === '' ? '' : ` It said: ${member.lastWords.trim()}`;
      const sentence = `A pool process ended while it was starting. ${how}${words}`;
      const error = member.startError ?? new PoolStartError(sentence);
      this.#failed(error, !member.isSlowStart && departure.error === undefined, member);
    } else if (stateBefore !== 'ending') {
      this.counts.lost += 1;
      this.#log.error({ child: member.link.pid, reason: how }, 'A pool process is lost');
      this.#failures = hadWork || this.#hasProvenItself(member) ? 0 : this.#failures + 1;
    }
    this.maintain();
    if (this.members.size === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  /** Whether its end says nothing about the app: one that ends by itself, again and again, is replaced more slowly. */
  #hasProvenItself(member: Member): boolean {
    const { hasFinishedAny, readyAt, running } = member;
    return hasFinishedAny || running.size > 0 || this.#system.monotonic() - readyAt >= settledMs;
  }

  /** A child did not get ready. While the pool opens, an error of the app's ends the opening. */
  #failed(error: Error, isFinal: boolean, member?: Member): void {
    if (this.#isStopped) return;
    this.#failures += 1;
    this.counts.failedStarts += 1;
    if (this.#opening !== undefined && (isFinal || this.#failures >= this.#size - 1 + startAttempts)) {
      this.#opening.reject(error);
      this.#opening = undefined;
      return;
    }
    const delayMs = backoffMs(this.#failures - 1, respawnBackoff, () => this.#system.random());
    this.#log.error(
      { err: error, index: member?.index, attempt: this.#failures, retryMs: delayMs },
      'A pool process did not start; it is tried again',
    );
    this.#restart?.reject(error);
    this.#restart = undefined;
    if (member === undefined) this.maintain();
  }
}

function noteLastWords(member: Member, text: string): void {
  member.lastWords = (member.lastWords + text).slice(-wordsLength);
}

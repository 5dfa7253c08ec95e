/**
 * Beat's loop: ticks the scheduler, sleeps until it wants to be asked again, wakes early when something changed or the
 * wall clock was set. Order of life: announce, open the scheduler, tick until stopped, close it (state saved). A
 * scheduler that may not send any more (leadership lost) is closed and opened again.
 */
import type { System } from '../core/system.ts';
import type { BeatHost } from './host.ts';
import type { Scheduler, SchedulerContext } from './scheduler.ts';

export interface BeatOptions {
  readonly host: BeatHost;
  readonly scheduleFile: string;
  readonly createScheduler: (context: SchedulerContext) => Scheduler;
  readonly system: System;
  /** Called once, before the first tick: the signals `beatInit` and `beatEmbeddedInit`. */
  readonly announce?: () => Promise<void> | void;
}

/** The wall clock is compared with the steady one this often. */
const clockCheckMs = 1000;
const smallestJumpMs = 1000;
/** A scheduler that asks for no pause at all still lets the process breathe. */
const longestTickRetryMs = 30_000;

export class Beat {
  readonly #options: BeatOptions;
  #wake = (): void => undefined;
  #isWoken = false;

  constructor(options: BeatOptions) {
    this.#options = options;
  }

  /**
   * Runs until the signal aborts; resolves when everything is saved and closed.
   * @throws {FileInUse} {CannotCreateFile} {ImproperlyConfigured} when it cannot begin.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { host, scheduleFile, createScheduler, system, announce } = this.#options;
    const scheduler = createScheduler({ host, system, scheduleFile, wake: () => this.#ring() });
    await announce?.();
    system.log.info('beat: Starting...');
    while (!signal.aborted) {
      try {
        await scheduler.open(signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      try {
        await this.#tickUntil(scheduler, signal);
      } finally {
        await scheduler.close();
      }
    }
  }

  async #tickUntil(scheduler: Scheduler, stop: AbortSignal): Promise<void> {
    const { log } = this.#options.system;
    const ended = scheduler.ended;
    const signal = ended === undefined ? stop : AbortSignal.any([stop, ended]);
    for (let failures = 0; !signal.aborted; ) {
      let delayMs: number;
      try {
        delayMs = await scheduler.tick();
        failures = 0;
      } catch (error) {
        failures += 1;
        delayMs = Math.min(longestTickRetryMs, 1000 * 2 ** Math.min(failures - 1, 10));
        log.error({ err: error, retryMs: delayMs }, 'The scheduler failed: it is asked again');
      }
      await this.#pause(delayMs, signal);
    }
    if (ended?.aborted === true && !stop.aborted) {
      const reason: unknown = ended.reason;
      log.warn(
        { reason: reason instanceof Error ? reason.message : reason },
        'This beat may not send any more for now',
      );
    }
  }

  /** Until the time is over, somebody rings, the wall clock is set, or the signal aborts. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { system } = this.#options;
    const until = system.monotonic() + ms;
    const offset = system.now() - system.monotonic();
    do {
      const left = Math.max(0, until - system.monotonic());
      await this.#sleep(Math.min(Math.ceil(left), clockCheckMs), signal);
      if (Math.abs(system.now() - system.monotonic() - offset) >= smallestJumpMs) return;
    } while (!this.#isWoken && !signal.aborted && system.monotonic() < until);
    this.#isWoken = false;
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isWoken || signal.aborted) return;
    const rung = new AbortController();
    const onAbort = (): void => rung.abort();
    this.#wake = onAbort;
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#options.system.sleep(ms, rung.signal);
    } catch (error) {
      if (!rung.signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#wake = () => undefined;
    }
  }

  #ring(): void {
    this.#isWoken = true;
    this.#wake();
  }
}

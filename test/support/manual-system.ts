/**
 * The clock of `celery-ts/testing` as a `System` for unit tests: time stands still until a test moves it; chance, ids,
 * host and environment are the same in every run, and what is logged can be read.
 */
import type { System } from '../../src/core/system.ts';
import { createClock } from '../../src/testing/clock.ts';
import { type TestLogger, testLogger } from './logger.ts';

export interface ManualSystem extends System {
  readonly logger: TestLogger;
  /** Moves wall clock and monotonic clock on, running what falls due; promises in between get their turn. */
  advance(ms: number): Promise<void>;
  /** Moves the wall clock only, as an operator or NTP does. */
  jump(ms: number): void;
  /** How many timers are armed. */
  readonly timers: number;
}

export function manualSystem(given: { now?: number; hostname?: string; pid?: number } = {}): ManualSystem {
  const logger = testLogger();
  const clock = createClock({ start: new Date(given.now ?? 1_700_000_000_000), log: logger.log });
  let ids = 0;
  return {
    ...clock.system,
    logger,
    advance: async (ms) => {
      await clock.advance(ms / 1000);
      await turn();
    },
    jump: (ms) => clock.set(new Date(clock.now().getTime() + ms)),
    get timers() {
      return clock.timers;
    },
    random: () => 0.5,
    newId: () => {
      ids += 1;
      return `00000000-0000-4000-8000-${ids.toString(16).padStart(12, '0')}`;
    },
    hostname: given.hostname ?? 'host.example',
    pid: given.pid ?? 4711,
    cwd: () => '/',
    env: {},
  };
}

/** Lets everything run that waits for promises only. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * A `System` with hands on the clock: time stands still until a test moves it. Sleepers and timers run in the order of
 * their time while it moves.
 */
import type { Logger, System } from '../../src/core/system.ts';
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
  const timers = new Map<number, { at: number; run: () => void }>();
  let wall = given.now ?? 1_700_000_000_000;
  let elapsed = 0;
  let ids = 0;

  const after = (ms: number, run: () => void): (() => void) => {
    ids += 1;
    const id = ids;
    timers.set(id, { at: elapsed + Math.max(ms, 0), run });
    return () => {
      timers.delete(id);
    };
  };
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  const advance = async (ms: number): Promise<void> => {
    const end = elapsed + ms;
    await turn();
    for (;;) {
      const due = [...timers].filter(([, { at }]) => at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
      if (due === undefined) break;
      const [id, { at, run }] = due;
      timers.delete(id);
      wall += at - elapsed;
      elapsed = at;
      run();
      await turn();
    }
    wall += end - elapsed;
    elapsed = end;
    await turn();
  };
  const log: Logger = logger.log;
  return {
    logger,
    log,
    after,
    sleep,
    advance,
    jump: (ms) => {
      wall += ms;
    },
    get timers() {
      return timers.size;
    },
    now: () => wall,
    monotonic: () => elapsed,
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

/**
 * A world with hands on the clock: time stands still until a test moves it; sleepers and timers run in the order of
 * their time while it moves.
 */
import { type Logger, nodeSystem, type System } from '../core/system.ts';

/** A clock that only moves when told to. */
export interface Clock {
  /** The world to hand in: `new Celery('tasks', settings, { system: clock.system })`. */
  readonly system: System;
  /** The time it shows. */
  now(): Date;
  /** Moves it on by `seconds`, running what falls due; promises in between get their turn. */
  advance(seconds: number): Promise<void>;
  /** Sets the wall clock, as an operator does: durations go on as they were. */
  set(time: Date): void;
  /** How many timers are armed. */
  readonly timers: number;
}

/**
 * Makes a clock. `start`: the time it shows at first, now by default.
 *
 * @example
 * const clock = createClock({ start: new Date('2026-01-01T00:00:00Z') });
 * await clock.advance(60);
 */
export function createClock(given: { readonly start?: Date; readonly log?: Logger } = {}): Clock {
  const real = nodeSystem(given.log === undefined ? {} : { log: given.log });
  const timers = new Map<number, { readonly at: number; readonly run: () => void }>();
  let wall = given.start?.getTime() ?? real.now();
  let elapsed = 0;
  let serial = 0;

  const after = (ms: number, run: () => void): (() => void) => {
    serial += 1;
    const id = serial;
    timers.set(id, { at: elapsed + Math.max(ms, 0), run });
    return () => {
      timers.delete(id);
    };
  };
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const cancel = after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  const advance = async (seconds: number): Promise<void> => {
    const end = elapsed + seconds * 1000;
    await turn();
    for (let next = earliest(timers, end); next !== undefined; next = earliest(timers, end)) {
      const [id, { at, run }] = next;
      timers.delete(id);
      wall += at - elapsed;
      elapsed = at;
      run();
      await turn();
    }
    wall += end - elapsed;
    elapsed = end;
  };
  return {
    system: { ...real, now: () => wall, monotonic: () => elapsed, after, sleep },
    now: () => new Date(wall),
    advance,
    set: (time) => {
      wall = time.getTime();
    },
    get timers() {
      return timers.size;
    },
  };
}

type Timers = ReadonlyMap<number, { readonly at: number; readonly run: () => void }>;

function earliest(
  timers: Timers,
  end: number,
): [number, { readonly at: number; readonly run: () => void }] | undefined {
  return [...timers].filter(([, { at }]) => at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
}

/** Lets everything run that waits for promises only. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

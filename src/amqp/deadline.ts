/** The one helper through which this room waits for a peer: every wait has a deadline. */
import type { System } from '../core/system.ts';

/** What opening a channel, declaring, consuming and the like may take. Publishing has its own limit. */
export const operationLimitMs = 20_000;

/** What saying goodbye may take before the socket is destroyed. */
export const politeCloseLimitMs = 2_000;

/** Settles as `work` does, or rejects with `late()` after `limitMs`. `work` goes on unheard; it leaves no timer. */
export function within<T>(work: Promise<T>, limitMs: number, system: System, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = system.after(limitMs, () => reject(late()));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

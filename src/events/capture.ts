/**
 * Events as an async iterator: for scripts that want to see some and be done. A reader that lags behind loses the oldest.
 */
import { EventReceiver, type ReceivedEvent, type ReceiverOptions } from './receiver.ts';

export interface CaptureOptions extends Omit<ReceiverOptions, 'handlers'> {
  /** Ends after so many events. Default: none. */
  readonly limit?: number | undefined;
  /** Ends when no event came for so many seconds. Default: never. */
  readonly timeout?: number | undefined;
  /** Ends the iteration without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Only these types. Default: all. */
  readonly types?: readonly string[] | undefined;
}

const mostWaiting = 10_000;

/**
 * Opens a receiver, gives its events, and closes it when the loop is left.
 *
 * @example for await (const { type, uuid } of captureEvents({ …, limit: 10 })) console.log(type, uuid);
 * Celery: `Receiver.itercapture`.
 */
export async function* captureEvents(options: CaptureOptions): AsyncGenerator<ReceivedEvent, void, undefined> {
  const { limit = Number.POSITIVE_INFINITY, timeout, signal, types, system } = options;
  if (limit <= 0 || signal?.aborted) return;
  const waiting: ReceivedEvent[] = [];
  let wake = (): void => {};
  const take = (event: ReceivedEvent): void => {
    waiting.push(event);
    if (waiting.length > mostWaiting) waiting.shift();
    wake();
  };
  const handlers = Object.fromEntries((types ?? ['*']).map((type) => [type, take]));
  const receiver = await EventReceiver.open({ ...options, handlers });
  const onAbort = (): void => wake();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    for (let given = 0; given < limit; given += 1) {
      if (waiting.length === 0 && !signal?.aborted) {
        let cancelTimer: (() => void) | undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
          cancelTimer = timeout === undefined ? undefined : system.after(timeout * 1000, resolve);
        });
        cancelTimer?.();
      }
      const event = waiting.shift();
      if (event === undefined || signal?.aborted) return;
      yield event;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await receiver.close();
  }
}

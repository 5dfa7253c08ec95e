/**
 * Celery's signals: typed, run in order of connection. A receiver that throws is logged and obeyed by nobody.
 */
import type { Logger } from './system.ts';

export type SignalReceiver<Sender, Payload> = (news: Payload & { readonly sender: Sender }) => unknown;

interface Connection<Sender, Payload> {
  readonly receiver: SignalReceiver<Sender, Payload>;
  readonly sender: unknown;
  readonly dispatchUid: string | undefined;
}

/**
 * One kind of news that several listeners may want.
 *
 * @example app.signals.taskPrerun.connect(({ taskId }) => console.log('about to run', taskId));
 * Celery: `celery.signals.*`.
 */
export class Signal<Sender, Payload extends object> {
  readonly name: string;
  readonly #log: () => Logger;
  #connections: readonly Connection<Sender, Payload>[] = [];

  constructor(name: string, log: () => Logger) {
    this.name = name;
    this.#log = log;
  }

  /** False lets a hot path skip building the news. */
  get hasReceivers(): boolean {
    return this.#connections.length > 0;
  }

  /**
   * Calls `receiver` for each sending, or only for one `sender` (the task or its name, a node name …).
   * With `dispatchUid` a second connection under the same uid changes nothing. Returns `receiver`.
   */
  connect<R extends SignalReceiver<Sender, Payload>>(
    receiver: R,
    options: { sender?: unknown; dispatchUid?: string } = {},
  ): R {
    const { sender, dispatchUid } = options;
    const isThere = this.#connections.some((known) =>
      dispatchUid === undefined
        ? known.receiver === receiver && known.sender === sender
        : known.dispatchUid === dispatchUid && known.sender === sender,
    );
    if (!isThere) this.#connections = [...this.#connections, { receiver, sender, dispatchUid }];
    return receiver;
  }

  /** Undoes `connect`. True when something was there to undo. */
  disconnect(
    receiver: SignalReceiver<Sender, Payload> | undefined,
    options: { sender?: unknown; dispatchUid?: string } = {},
  ): boolean {
    const kept = this.#connections.filter(
      (known) =>
        known.sender !== options.sender ||
        (options.dispatchUid === undefined ? known.receiver !== receiver : known.dispatchUid !== options.dispatchUid),
    );
    const isChanged = kept.length !== this.#connections.length;
    this.#connections = kept;
    return isChanged;
  }

  /** Runs the receivers one after another and waits for each. Never throws. */
  async send(sender: Sender, payload: Payload): Promise<void> {
    for (const connection of this.#connections) {
      if (connection.sender !== undefined && !isSameSender(connection.sender, sender)) continue;
      try {
        await connection.receiver({ ...payload, sender });
      } catch (error) {
        this.#log().error({ signal: this.name, err: error }, 'A signal receiver failed');
      }
    }
  }
}

function isSameSender(wanted: unknown, actual: unknown): boolean {
  return wanted === actual || nameOf(wanted) === nameOf(actual);
}

function nameOf(sender: unknown): unknown {
  const isNamed = (typeof sender === 'object' && sender !== null) || typeof sender === 'function';
  return isNamed && 'name' in sender ? sender.name : sender;
}

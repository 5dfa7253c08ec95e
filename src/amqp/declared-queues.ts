/**
 * What a publisher has declared: each queue once for each opening of the connection, shared by all who ask at the same
 * time. Remembers the queues, so that one that was deleted can be made again.
 */
import type { Publication } from '../core/envelope.ts';
import { PublishTimeoutError } from '../core/errors.ts';
import { needsAPerson } from './broker-errors.ts';
import type { Connection } from './connection.ts';
import { within } from './deadline.ts';
import { declareQueues } from './declare.ts';
import type { Queue } from './topology.ts';

interface Entry {
  readonly queue: Queue;
  /** 0 while it is being declared. */
  epoch: number;
  readonly work: Promise<void>;
}

const done = Promise.resolve();

export class DeclaredQueues {
  readonly #connection: Connection;
  readonly #limitSeconds: number;
  readonly #entries = new Map<string, Entry>();

  constructor(connection: Connection, limitSeconds: number) {
    this.#connection = connection;
    this.#limitSeconds = limitSeconds;
  }

  /** Declared since the connection was opened. */
  has(queue: Queue): boolean {
    const entry = this.#entries.get(queue.name);
    return entry !== undefined && entry.queue === queue && entry.epoch === this.#connection.epoch && entry.epoch > 0;
  }

  /** Whoever waits has a limit; the work itself goes on for the others. */
  declare(queues: readonly Queue[], limitSeconds: number = this.#limitSeconds): Promise<void> {
    const missing = queues.filter((queue) => !this.has(queue));
    if (missing.length === 0) return done;
    const late = (): Error => {
      const names = missing.map(({ name }) => `'${name}'`).join(', ');
      const { state, url } = this.#connection;
      const seconds = Math.round(limitSeconds * 10) / 10;
      return new PublishTimeoutError(
        `Queue ${names} could not be declared within ${seconds} s: the connection to ${url} is ${state}.`,
      );
    };
    const work = all(missing.map((queue) => this.#entry(queue).work));
    return within(work, limitSeconds * 1000, this.#connection.system, late);
  }

  /** The same although they are known: they were deleted. Those that are being declared now are only waited for. */
  declareAgain(queues: readonly Queue[]): Promise<void> {
    for (const queue of queues) if (this.has(queue)) this.#entries.delete(queue.name);
    return this.declare(queues);
  }

  /** The declared queues that a publication is meant for. */
  ownersOf({ exchange, routingKey }: Publication): readonly Queue[] {
    if (exchange === '') {
      const queue = this.#entries.get(routingKey)?.queue;
      return queue === undefined || queue.noDeclare || queue.passive ? [] : [queue];
    }
    return [...this.#entries.values()]
      .map(({ queue }) => queue)
      .filter((queue) => !queue.noDeclare && !queue.passive)
      .filter(({ bindings }) => bindings.some((binding) => binding.exchange.name === exchange));
  }

  #entry(queue: Queue): Entry {
    const known = this.#entries.get(queue.name);
    const isUsable = known !== undefined && known.queue === queue && known.epoch === 0;
    if (isUsable) return known;
    const entry: Entry = {
      queue,
      epoch: 0,
      work: this.#declare(queue).then((epoch) => {
        entry.epoch = epoch;
      }),
    };
    this.#entries.set(queue.name, entry);
    entry.work.catch(() => {
      if (this.#entries.get(queue.name) === entry) this.#entries.delete(queue.name);
    });
    return entry;
  }

  /** In which epoch it was declared. A connection lost on the way is waited for, a refusal is thrown. */
  async #declare(queue: Queue): Promise<number> {
    for (;;) {
      this.#connection.hurry();
      await this.#connection.connect();
      const { epoch } = this.#connection;
      try {
        await declareQueues(this.#connection, [queue]);
        return epoch;
      } catch (error) {
        const isSameConnection = this.#connection.isOpen && this.#connection.epoch === epoch;
        if (needsAPerson(error) || isSameConnection) throw error;
      }
    }
  }
}

async function all(work: readonly Promise<void>[]): Promise<void> {
  await Promise.all(work);
}

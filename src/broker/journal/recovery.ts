/**
 * Opens a data folder: takes the lock, reads what is there, and starts a fresh log behind it.
 */
import { type Entry, type Message, restoreMessage } from '../message.ts';
import { JournalFolder } from './files.ts';
import { Journal, type QueueBook } from './journal.ts';
import {
  type BindingRecord,
  type Definition,
  definitionKey,
  type ExchangeRecord,
  type JournalRecord,
  type MessageRecord,
  type Placement,
  type QueueRecord,
} from './records.ts';

export interface RestoredQueue {
  readonly record: QueueRecord;
  readonly book: QueueBook;
  /** In order of position. */
  readonly entries: readonly Entry[];
}

export interface Restored {
  readonly journal: Journal;
  readonly exchanges: readonly ExchangeRecord[];
  readonly queues: readonly RestoredQueue[];
  readonly bindings: readonly BindingRecord[];
}

interface Kept {
  readonly message: Message;
  readonly expiresAt: number | undefined;
  returns: number;
}

interface QueueState {
  readonly kept: Map<number, Kept>;
  deliveredUpTo: number;
}

/**
 * @param pid ours, for the lock
 * @throws {ImproperlyConfigured} when another process has the folder, or its files are damaged
 */
export async function openJournal(path: string, pid: number): Promise<Restored> {
  const folder = new JournalFolder(path);
  await folder.lock(pid);
  try {
    const found = await folder.find();
    const state = new State();
    if (found.snapshot !== undefined) {
      for await (const record of folder.read('snapshot', found.snapshot, false)) state.apply(record);
    }
    for (const log of found.logs) {
      for await (const record of folder.read('log', log, log === found.logs.at(-1))) state.apply(record);
    }
    const logNumber = Math.max(found.snapshot ?? 0, found.logs.at(-1) ?? 0) + 1;
    const log = await folder.createLog(logNumber);
    return state.restore(new Journal({ folder, log, logNumber }));
  } catch (error) {
    await folder.unlock();
    throw error;
  }
}

class State {
  readonly #definitions = new Map<string, Definition>();
  readonly #queues = new Map<number, QueueState>();
  /** After a crash any message may have been out with a client: all count as redelivered, as in RabbitMQ. */
  #isClean = true;

  apply(record: JournalRecord): void {
    this.#isClean = record.kind === 'closed';
    switch (record.kind) {
      case 'declared':
        this.#definitions.set(definitionKey(record.definition), record.definition);
        if (record.definition.kind === 'queue') this.#queue(record.definition.id);
        break;
      case 'dropped':
        this.#definitions.delete(definitionKey(record.definition));
        if (record.definition.kind === 'queue') this.#queues.delete(record.definition.id);
        break;
      case 'message': {
        const message = messageOf(record);
        for (const placement of record.placements) this.#place(message, placement);
        break;
      }
      case 'settled':
        for (const position of record.positions) this.#queues.get(record.queueId)?.kept.delete(position);
        break;
      case 'delivered': {
        const queue = this.#queues.get(record.queueId);
        if (queue !== undefined) queue.deliveredUpTo = Math.max(queue.deliveredUpTo, record.position);
        break;
      }
      case 'closed':
        break;
      case 'returned': {
        const kept = this.#queues.get(record.queueId)?.kept.get(record.position);
        if (kept !== undefined) kept.returns = record.returns;
        break;
      }
    }
  }

  restore(journal: Journal): Restored {
    const definitions = [...this.#definitions.values()];
    journal.restore(
      definitions,
      [...this.#queues].map(([id, { deliveredUpTo }]) => ({ id, deliveredUpTo })),
    );
    const queues: RestoredQueue[] = [];
    for (const record of definitions) {
      const book = record.kind === 'queue' ? journal.book(record.id) : undefined;
      if (record.kind !== 'queue' || book === undefined) continue;
      const { kept, deliveredUpTo } = this.#queue(record.id);
      const entries = [...kept]
        .sort(([a], [b]) => a - b)
        .map(([position, { message, expiresAt, returns }]): Entry => {
          const isRedelivered = !this.#isClean || position <= deliveredUpTo;
          return { message, position, expiresAt, isStored: true, isRedelivered, returns };
        });
      for (const entry of entries) journal.adopt(book, entry);
      queues.push({ record, book, entries });
    }
    return {
      journal,
      exchanges: definitions.filter((definition) => definition.kind === 'exchange'),
      queues,
      bindings: definitions.filter((definition) => definition.kind === 'binding'),
    };
  }

  #queue(id: number): QueueState {
    let queue = this.#queues.get(id);
    if (queue === undefined) {
      queue = { kept: new Map(), deliveredUpTo: 0 };
      this.#queues.set(id, queue);
    }
    return queue;
  }

  #place(message: Message, { queueId, position, expiresAt, returns }: Placement): void {
    this.#queues.get(queueId)?.kept.set(position, { message, expiresAt, returns });
  }
}

function messageOf({ bytes, addressEnd, headerEnd, blindKeys }: MessageRecord): Message {
  return restoreMessage({ slab: bytes, start: 0, addressEnd, headerEnd, end: bytes.length }, blindKeys);
}

/**
 * What survives a restart: durable exchanges, queues and bindings, and persistent messages in durable queues. Changes are
 * gathered over a turn of the event loop, written and synced in one go while the next batch gathers; whoever waits for
 * the disk (`whenSynced`: confirms, commits) is told after the sync. A message consumed before it was written is never
 * written. When the logs outgrow what is alive, a snapshot replaces them.
 */
import { Buffer } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import type { Entry, Message } from '../message.ts';
import { ByteWriter } from '../wire/bytes.ts';
import type { JournalFolder } from './files.ts';
import { type Definition, definitionKey, type JournalRecord, type Placement, writeRecord } from './records.ts';

/** A snapshot is not worth it below this. */
const smallestLog = 16 * 1024 * 1024;
const chunkBytes = 1024 * 1024;

/** The journal's side of one durable queue. */
export class QueueBook {
  readonly id: number;
  readonly live = new Set<Entry>();
  /** Entries settled since the last write. */
  settled: number[] = [];
  deliveredUpTo = 0;
  /** The queue is gone. */
  isClosed = false;
  readonly #journal: Journal;

  constructor(id: number, journal: Journal) {
    this.id = id;
    this.#journal = journal;
  }

  /** The message is to survive. */
  add(entry: Entry): void {
    this.#journal.enqueued(this, entry);
  }

  /** The message is done with. */
  remove(entry: Entry): void {
    this.#journal.settled(this, entry);
  }

  /** The message went out to a client: after a restart it is a redelivery. */
  delivered(entry: Entry): void {
    if (entry.position <= this.deliveredUpTo) return;
    this.deliveredUpTo = entry.position;
    this.#journal.touch(this);
  }

  /** The message came back, and its returns are counted. */
  returned(entry: Entry): void {
    if (!this.live.has(entry)) return; // not written yet: it will be with its count
    const { position, returns } = entry;
    this.#journal.append({ kind: 'returned', queueId: this.id, position, returns });
  }
}

export class Journal {
  readonly #folder: JournalFolder;
  /** Called once, when the folder cannot be written any more. */
  onFailure: (error: unknown) => void = () => undefined;
  readonly #definitions = new Map<string, Definition>();
  readonly #books = new Map<number, QueueBook>();
  #nextQueueId = 1;
  #log: FileHandle;
  #logNumber: number;
  /** Bytes in the logs since the last snapshot, and bytes of what is alive. */
  #logBytes = 0;
  #liveBytes = 0;
  /** Messages of the coming batch, with the queues they are in. */
  #fresh = new Map<Message, Map<Entry, QueueBook>>();
  readonly #touched = new Set<QueueBook>();
  readonly #records = new ByteWriter(64 * 1024);
  #waiters: (() => void)[] = [];
  #batch = 0;
  /** The batch of the last definition, and the last batch on disk. */
  #definedIn = -1;
  #syncedUpTo = -1;
  #writing: Promise<void> | undefined;
  #snapshot: Promise<void> | undefined;
  #isFailed = false;

  constructor(given: {
    readonly folder: JournalFolder;
    readonly log: FileHandle;
    readonly logNumber: number;
  }) {
    this.#folder = given.folder;
    this.#log = given.log;
    this.#logNumber = given.logNumber;
  }

  /** The number of the batch that gathers now; waiters of one batch are told together. */
  get batch(): number {
    return this.#batch;
  }

  /** A definition was changed that is not on disk yet. */
  get isDefining(): boolean {
    return this.#definedIn > this.#syncedUpTo;
  }

  declared(definition: Definition): void {
    this.#definitions.set(definitionKey(definition), definition);
    this.#define({ kind: 'declared', definition });
  }

  dropped(definition: Definition): void {
    if (!this.#definitions.delete(definitionKey(definition))) return;
    if (definition.kind === 'queue') {
      const book = this.#books.get(definition.id);
      if (book !== undefined) this.#close(book);
    }
    this.#define({ kind: 'dropped', definition });
  }

  #define(record: JournalRecord): void {
    this.#definedIn = this.#batch;
    this.append(record);
  }

  #close(book: QueueBook): void {
    for (const entry of book.live) this.#liveBytes -= entry.message.size;
    book.live.clear();
    book.isClosed = true;
    this.#books.delete(book.id);
  }

  /** A book for a new durable queue. */
  openBook(): QueueBook {
    const book = new QueueBook(this.#nextQueueId, this);
    this.#nextQueueId += 1;
    this.#books.set(book.id, book);
    return book;
  }

  /** Takes over what was read from the files: nothing of it is written again. */
  restore(definitions: Iterable<Definition>, books: Iterable<{ id: number; deliveredUpTo: number }>): void {
    for (const definition of definitions) this.#definitions.set(definitionKey(definition), definition);
    for (const { id, deliveredUpTo } of books) {
      const book = new QueueBook(id, this);
      book.deliveredUpTo = deliveredUpTo;
      this.#books.set(id, book);
      this.#nextQueueId = Math.max(this.#nextQueueId, id + 1);
    }
  }

  book(id: number): QueueBook | undefined {
    return this.#books.get(id);
  }

  /** A restored message is alive already. */
  adopt(book: QueueBook, entry: Entry): void {
    book.live.add(entry);
    this.#liveBytes += entry.message.size;
  }

  enqueued(book: QueueBook, entry: Entry): void {
    const entries = this.#fresh.get(entry.message);
    if (entries === undefined) this.#fresh.set(entry.message, new Map([[entry, book]]));
    else entries.set(entry, book);
    this.#schedule();
  }

  settled(book: QueueBook, entry: Entry): void {
    const fresh = this.#fresh.get(entry.message);
    if (fresh?.delete(entry) === true) {
      if (fresh.size === 0) this.#fresh.delete(entry.message);
      return;
    }
    if (!book.live.delete(entry)) return;
    this.#liveBytes -= entry.message.size;
    book.settled.push(entry.position);
    this.touch(book);
  }

  /** The book has something to write. */
  touch(book: QueueBook): void {
    this.#touched.add(book);
    this.#schedule();
  }

  append(record: JournalRecord): void {
    writeRecord(this.#records, record);
    this.#schedule();
  }

  /** Calls `run` once everything so far is on disk. */
  whenSynced(run: () => void): void {
    this.#waiters.push(run);
    this.#schedule();
  }

  /** Writes what is left and closes the files. */
  async close(): Promise<void> {
    this.append({ kind: 'closed' });
    while (this.#writing !== undefined) await this.#writing;
    await this.#snapshot;
    await this.#log.close();
    await this.#folder.unlock();
  }

  #schedule(): void {
    if (!this.#isFailed) this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // gather the rest of this turn
    try {
      while (this.#hasWork() && !this.#isFailed) await this.#writeBatch();
    } catch (error) {
      this.#isFailed = true;
      this.onFailure(error);
    }
    this.#writing = undefined;
  }

  #hasWork(): boolean {
    return this.#records.length > 0 || this.#fresh.size > 0 || this.#touched.size > 0 || this.#waiters.length > 0;
  }

  async #writeBatch(): Promise<void> {
    const waiters = this.#waiters;
    this.#waiters = [];
    const number = this.#batch;
    this.#batch += 1;
    const batch = this.#encodeBatch();
    if (batch.length > 0) {
      await this.#log.writeFile(batch);
      await this.#log.datasync();
      this.#logBytes += batch.length;
    }
    this.#syncedUpTo = number;
    for (const run of waiters) run();
    if (this.#logBytes > Math.max(smallestLog, 2 * this.#liveBytes) && this.#snapshot === undefined) {
      await this.#rotate();
    }
  }

  /** Definitions first, then messages, then what was settled: cut anywhere, it may repeat a message but not lose one. */
  #encodeBatch(): Buffer {
    const fresh = this.#fresh;
    this.#fresh = new Map();
    for (const [message, entries] of fresh) {
      const placements: Placement[] = [];
      for (const [entry, book] of entries) {
        if (book.isClosed) continue;
        placements.push(placementOf(book, entry));
        book.live.add(entry);
        this.#liveBytes += message.size;
      }
      if (placements.length > 0) writeMessage(this.#records, message, placements);
    }
    for (const book of this.#touched) {
      if (book.settled.length > 0) {
        writeRecord(this.#records, { kind: 'settled', queueId: book.id, positions: book.settled });
        book.settled = [];
      }
      writeRecord(this.#records, { kind: 'delivered', queueId: book.id, position: book.deliveredUpTo });
    }
    this.#touched.clear();
    const batch = Buffer.from(this.#records.view());
    this.#records.reset();
    return batch;
  }

  /** Starts a new log, and writes a snapshot of everything before it meanwhile. */
  async #rotate(): Promise<void> {
    const finished = this.#logNumber;
    const log = await this.#folder.createLog(finished + 1);
    // No batch was encoded since the last one was written: what is alive now is what the logs up to here amount to.
    const [definitions, live] = [[...this.#definitions.values()], this.#liveMessages()];
    await this.#log.close();
    this.#log = log;
    this.#logNumber = finished + 1;
    this.#logBytes = 0;
    this.#snapshot = this.#writeSnapshot(finished, definitions, live);
  }

  #liveMessages(): Map<Message, Placement[]> {
    const messages = new Map<Message, Placement[]>();
    for (const book of this.#books.values()) {
      for (const entry of book.live) {
        const placements = messages.get(entry.message);
        if (placements === undefined) messages.set(entry.message, [placementOf(book, entry)]);
        else placements.push(placementOf(book, entry));
      }
    }
    return messages;
  }

  async #writeSnapshot(
    number: number,
    definitions: readonly Definition[],
    live: ReadonlyMap<Message, Placement[]>,
  ): Promise<void> {
    const delivered = [...this.#books.values()].map(({ id, deliveredUpTo }) => ({ id, deliveredUpTo }));
    try {
      await this.#folder.writeSnapshot(number, snapshotChunks(definitions, live, delivered));
      await this.#folder.removeUpTo(number);
    } catch (error) {
      this.#isFailed = true;
      this.onFailure(error);
    }
    this.#snapshot = undefined;
  }
}

function* snapshotChunks(
  definitions: readonly Definition[],
  live: ReadonlyMap<Message, Placement[]>,
  delivered: readonly { id: number; deliveredUpTo: number }[],
): Generator<Buffer> {
  const writer = new ByteWriter(chunkBytes);
  for (const definition of definitions) writeRecord(writer, { kind: 'declared', definition });
  for (const [message, placements] of live) {
    writeMessage(writer, message, placements);
    if (writer.length < chunkBytes) continue;
    yield writer.view();
    writer.reset();
  }
  for (const { id: queueId, deliveredUpTo: position } of delivered) {
    writeRecord(writer, { kind: 'delivered', queueId, position });
  }
  yield writer.view();
}

function writeMessage(writer: ByteWriter, message: Message, placements: readonly Placement[]): void {
  const { slab, start, end, blindKeys } = message;
  const [addressEnd, headerEnd] = [message.addressEnd - start, message.headerEnd - start];
  const bytes = slab.subarray(start, end);
  writeRecord(writer, { kind: 'message', placements, addressEnd, headerEnd, blindKeys, bytes });
}

function placementOf(book: QueueBook, { position, expiresAt, returns }: Entry): Placement {
  return { queueId: book.id, position, expiresAt, returns };
}

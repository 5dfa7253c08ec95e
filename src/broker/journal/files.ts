/**
 * The files of a journal's folder.
 *
 *   log-<n>       records as they came, appended and synced
 *   snapshot-<n>  everything that logs up to n amount to; written beside them, then they are removed
 *   lock          the process that owns the folder
 */
import { Buffer } from 'node:buffer';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImproperlyConfigured } from '../../core/errors.ts';
import { checksum, type JournalRecord, readRecord, recordHead } from './records.ts';

const magic = Buffer.from('celery-ts broker journal 1\n');
const readBytes = 1024 * 1024;
/** A record is a message with its placements; beyond this a length is garbage. */
const longestRecord = 512 * 1024 * 1024;

export interface Found {
  /** The newest snapshot, if there is one. */
  readonly snapshot: number | undefined;
  /** The logs after it, in order. */
  readonly logs: readonly number[];
}

export class JournalFolder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  pathOf(kind: 'log' | 'snapshot', number: number): string {
    return join(this.#path, `${kind}-${String(number).padStart(8, '0')}`);
  }

  /** Makes the folder ours. @throws {ImproperlyConfigured} when another living process has it */
  async lock(pid: number): Promise<void> {
    await mkdir(this.#path, { recursive: true });
    const lock = join(this.#path, 'lock');
    const owner = Number(await readFile(lock, 'utf8').catch(() => ''));
    if (owner > 0 && owner !== pid && isAlive(owner)) {
      throw new ImproperlyConfigured(
        `The broker's data folder ${this.#path} is in use by process ${owner}. Stop it, or remove ${lock} if that is no broker.`,
      );
    }
    await writeFile(lock, String(pid));
  }

  async unlock(): Promise<void> {
    await rm(join(this.#path, 'lock'), { force: true });
  }

  async find(): Promise<Found> {
    const names = await readdir(this.#path);
    const numbers = (kind: string): number[] =>
      names
        .filter((name) => new RegExp(`^${kind}-\\d{8}$`).test(name))
        .map((name) => Number(name.slice(kind.length + 1)))
        .sort((a, b) => a - b);
    const snapshot = numbers('snapshot').at(-1);
    return { snapshot, logs: numbers('log').filter((log) => snapshot === undefined || log > snapshot) };
  }

  /** Removes what the snapshot replaces. */
  async removeUpTo(snapshot: number): Promise<void> {
    for (const name of await readdir(this.#path)) {
      const [, kind, digits] = /^(log|snapshot)-(\d{8})(?:\.part)?$/.exec(name) ?? [];
      const number = Number(digits);
      if ((kind === 'log' && number <= snapshot) || (kind === 'snapshot' && number < snapshot)) {
        await rm(join(this.#path, name), { force: true });
      }
    }
  }

  async createLog(number: number): Promise<FileHandle> {
    const handle = await open(this.pathOf('log', number), 'wx');
    await handle.writeFile(magic);
    await handle.datasync();
    await this.#syncFolder();
    return handle;
  }

  /** Writes a snapshot under another name first: it is there whole or not at all. */
  async writeSnapshot(number: number, chunks: Iterable<Buffer>): Promise<number> {
    const path = this.pathOf('snapshot', number);
    const handle = await open(`${path}.part`, 'w');
    let size = 0;
    try {
      await handle.writeFile(magic);
      for (const chunk of chunks) {
        await handle.writeFile(chunk);
        size += chunk.length;
      }
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await rename(`${path}.part`, path);
    await this.#syncFolder();
    return size;
  }

  /**
   * Reads a file's records. A torn end is where a crash cut the last write: it is the end, and in the last log it is cut
   * off (`isLast`); anywhere else it is damage.
   */
  async *read(kind: 'log' | 'snapshot', number: number, isLast: boolean): AsyncGenerator<JournalRecord> {
    const path = this.pathOf(kind, number);
    const handle = await open(path, 'r+');
    try {
      let held = Buffer.alloc(0);
      let at = 0;
      let offset = 0;
      const fill = async (wanted: number): Promise<boolean> => {
        const parts = [held.subarray(at)];
        let size = held.length - at;
        while (size < wanted) {
          const chunk = Buffer.allocUnsafe(Math.max(readBytes, wanted - size));
          const { bytesRead } = await handle.read(chunk, 0, chunk.length, offset);
          if (bytesRead === 0) break;
          offset += bytesRead;
          size += bytesRead;
          parts.push(chunk.subarray(0, bytesRead));
        }
        held = parts.length === 1 ? (parts[0] ?? held) : Buffer.concat(parts, size);
        at = 0;
        return size >= wanted;
      };
      if (!(await fill(magic.length)) || !held.subarray(0, magic.length).equals(magic)) {
        if (isLast && held.length < magic.length) return; // killed before the first record
        throw new ImproperlyConfigured(`${path} is no journal of this broker.`);
      }
      at = magic.length;
      for (;;) {
        if (held.length - at < recordHead && !(await fill(recordHead))) break;
        const size = held.readUInt32BE(at);
        if (size > longestRecord) break;
        if (held.length - at < recordHead + size && !(await fill(recordHead + size))) break;
        const start = at + recordHead;
        if (checksum(held, start, start + size) !== held.readUInt32BE(at + 4)) break;
        yield readRecord(held, start, start + size);
        at = start + size;
      }
      const end = offset - (held.length - at);
      const { size } = await handle.stat();
      if (end === size) return;
      if (!isLast) throw new ImproperlyConfigured(`${path} is damaged at byte ${end} of ${size}.`);
      await handle.truncate(end);
    } finally {
      await handle.close();
    }
  }

  /** A new name is on disk only when its folder is. */
  async #syncFolder(): Promise<void> {
    const folder = await open(this.#path, 'r').catch(() => undefined);
    await folder?.sync().catch(() => undefined); // not every system lets a folder be synced
    await folder?.close();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

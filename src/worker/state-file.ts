/**
 * What a worker remembers over a restart (`--statedb`): revoked ids and stamps, and the logical clock. One JSON file,
 * replaced as a whole soon after each revocation and when the worker stops.
 */
import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { LogicalClock } from '../core/logical-clock.ts';
import { isCode } from '../core/process-identity.ts';
import { CannotCreateFile, replaceFile } from '../core/replace-file.ts';
import type { System } from '../core/system.ts';
import type { Revoked } from './revoked.ts';

export interface StateFileOptions {
  readonly path: string;
  readonly revoked: Revoked;
  readonly clock: LogicalClock;
  readonly system: System;
}

const saveEveryMs = 1000;
/** What fails is tried again each time, and said no more often than this. */
const reportEveryMs = 60_000;
const largestFile = 64 * 2 ** 20;

export class StateFile {
  readonly #given: StateFileOptions;
  #saved = 0;
  #saving: Promise<void> = Promise.resolve();
  #cancel: () => void = () => undefined;
  #isClosed = false;
  #hasFailed = false;
  #reportedAt = Number.NEGATIVE_INFINITY;

  private constructor(given: StateFileOptions) {
    this.#given = given;
  }

  /**
   * Takes over what the file holds, and writes it, so that a file that cannot be written is known at the start.
   * What is no state file of ours is renamed aside; a symbolic link is none.
   * @throws {CannotCreateFile} when the file cannot be read or written.
   */
  static async open(given: StateFileOptions): Promise<StateFile> {
    const file = new StateFile(given);
    const { path } = given;
    try {
      const found = await read(path);
      if (found === 'a link') await file.#setAside('it is a symbolic link, and links are not followed');
      else if (found !== 'nothing' && !file.#take(found.text)) await file.#setAside('it cannot be read as one');
      await file.#write();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CannotCreateFile(`The state file ${path} cannot be used: ${reason}. Name another one (--statedb).`, {
        cause: error,
      });
    }
    file.#saveLater();
    return file;
  }

  /** Writes what is new, if the disk lets it; a worker does not stop for that. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#trySave());
    return this.#saving;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return this.#saving;
    this.#isClosed = true;
    this.#cancel();
    await this.save();
  }

  #saveLater(): void {
    this.#cancel = this.#given.system.after(saveEveryMs, async () => {
      if (this.#given.revoked.changes !== this.#saved) await this.save();
      if (!this.#isClosed) this.#saveLater();
    });
  }

  async #trySave(): Promise<void> {
    const { path, system } = this.#given;
    try {
      await this.#write();
      if (this.#hasFailed) system.log.info({ file: path }, 'The state of the worker is saved again');
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      if (system.monotonic() - this.#reportedAt < reportEveryMs) return;
      this.#reportedAt = system.monotonic();
      system.log.error(
        { file: path, err: error },
        'The state of the worker could not be saved: it goes on and tries again',
      );
    }
  }

  async #write(): Promise<void> {
    const { clock, path, revoked, system } = this.#given;
    const changes = revoked.changes;
    const state = {
      version: 1,
      clock: clock.value,
      revoked: Object.fromEntries(revoked.entries(system.now())),
      stamps: revoked.stamps(),
    };
    await replaceFile(path, `${JSON.stringify(state)}\n`);
    this.#saved = changes;
  }

  /** False: this is no state file of ours. */
  #take(text: string): boolean {
    const state = parse(text);
    if (state === undefined) return false;
    const { clock, revoked, system } = this.#given;
    clock.adjust(state.clock);
    const ids = Object.entries(state.revoked).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number',
    );
    revoked.restore(ids, system.now());
    revoked.addStamps(state.stamps);
    return true;
  }

  async #setAside(why: string): Promise<void> {
    const { path, system } = this.#given;
    const aside = `${path}.unreadable-${new Date(system.now()).toISOString().replace(/[:.]/g, '')}`;
    await rename(path, aside);
    system.log.warn(
      { file: path, aside, why },
      'The state file is none of ours: renamed aside, the worker begins anew',
    );
  }
}

async function read(path: string): Promise<{ readonly text: string } | 'a link' | 'nothing'> {
  const { O_NOFOLLOW = 0, O_NONBLOCK = 0, O_RDONLY } = constants;
  try {
    const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw new TypeError('it is no file');
      return { text: stat.size <= largestFile ? await file.readFile('utf8') : '' };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isCode(error, 'ENOENT')) return 'nothing';
    if (isCode(error, 'ELOOP')) return 'a link';
    throw error;
  }
}

interface State {
  readonly clock: unknown;
  readonly revoked: Readonly<Record<string, unknown>>;
  readonly stamps: Readonly<Record<string, unknown>>;
}

function parse(text: string): State | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isMap(value) || value.version !== 1 || !isMap(value.revoked) || !isMap(value.stamps)) return undefined;
    return { clock: value.clock, revoked: value.revoked, stamps: value.stamps };
  } catch {
    return undefined;
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A lock beside a file, so that two processes do not both believe it is theirs: a small JSON file with pid, start time
 * and host of its holder. A lock whose holder is gone is taken over; on another host, where pids say nothing, a holder
 * counts as gone when it has not touched its lock for a while.
 *
 * The lock appears complete or not at all (it is linked into place). Taking over a stale one is guarded by a second
 * file, so that of two takers one wins; and a holder can always ask whether the lock is still its own.
 */
import { constants } from 'node:fs';
import { link, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { CeleryError } from '../core/errors.ts';
import { isAlive, isCode, startOf } from '../core/process-identity.ts';
import type { System } from '../core/system.ts';

/** Another process holds the file (exit code 73). */
export class FileInUse extends CeleryError {
  static override readonly name: string = 'FileInUse';
  override readonly code: string = 'CELERY_FILE_IN_USE';
  override readonly excModule: string = 'celery_ts.errors';
}

interface Holder {
  readonly pid: number;
  /** When the process started; undefined where the system does not say. */
  readonly start: string | undefined;
  readonly host: string;
  readonly token: string;
}

const touchEveryMs = 30_000;
const untouchedTooLongMs = 120_000;
const guardTooOldMs = 10_000;
const attempts = 40;
const attemptDelayMs = 50;
/** `O_NOFOLLOW` is not known everywhere. */
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);

export class FileLock {
  readonly path: string;
  readonly #token: string;
  readonly #system: System;
  #cancelTouch: () => void = () => undefined;
  #isReleased = false;

  private constructor(path: string, token: string, system: System) {
    this.path = path;
    this.#token = token;
    this.#system = system;
  }

  /** @throws {FileInUse} when another process holds it; errors of the file system as they come. */
  static async acquire(path: string, system: System): Promise<FileLock> {
    const token = system.newId();
    const holder: Holder = { pid: system.pid, start: await startOf(system.pid), host: system.hostname, token };
    const draft = `${path}.${system.pid}.${token.slice(0, 8)}`;
    await writeNew(draft, `${JSON.stringify({ ...holder, start: holder.start ?? null })}\n`);
    try {
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        if (await place(draft, path)) {
          const lock = new FileLock(path, token, system);
          lock.#touchLater();
          return lock;
        }
        const found = await readHolder(path);
        if (found === 'none') continue;
        if (found !== 'garbage' && (await isHeld(found, path, draft, system))) throw inUse(path, found);
        if (found !== 'garbage' || attempt >= 10) await clearStale(path, found, draft);
        await system.sleep(attemptDelayMs);
      }
    } finally {
      await rm(draft, { force: true });
    }
    throw new FileInUse(`The lock ${path} could not be taken: others keep changing it.`);
  }

  /** Whether the lock still says so. A lock that is gone is put back. */
  async isOurs(): Promise<boolean> {
    const found = await readHolder(this.path);
    if (found === 'garbage') return false;
    if (found !== 'none') return found.token === this.#token;
    const holder = { pid: this.#system.pid, start: await startOf(this.#system.pid), host: this.#system.hostname };
    try {
      await writeNew(this.path, `${JSON.stringify({ ...holder, start: holder.start ?? null, token: this.#token })}\n`);
      return true;
    } catch (error) {
      if (isCode(error, 'EEXIST')) return false;
      throw error;
    }
  }

  /** Removes the lock if it is still ours. */
  async release(): Promise<void> {
    this.#isReleased = true;
    this.#cancelTouch();
    const found = await readHolder(this.path);
    if (typeof found !== 'string' && found.token === this.#token) await rm(this.path, { force: true });
  }

  #touchLater(): void {
    this.#cancelTouch = this.#system.after(touchEveryMs, async () => {
      const now = new Date(this.#system.now());
      await utimes(this.path, now, now).catch(() => undefined); // a lock that is gone is seen by `isOurs`
      if (!this.#isReleased) this.#touchLater();
    });
  }
}

/** Puts the finished draft in place unless something is there. */
async function place(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    if (!isCode(error, 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK')) throw error;
  }
  try {
    await writeNew(path, await readFile(draft, 'utf8')); // a file system without links
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function isHeld(holder: Holder, path: string, draft: string, system: System): Promise<boolean> {
  if (holder.host === system.hostname) {
    if (!isAlive(holder.pid)) return false;
    return holder.start === undefined || (await startOf(holder.pid)) === holder.start;
  }
  // Another host's pids mean nothing here. Both times are the file system's own, so clocks may differ.
  const [touched, now] = await Promise.all([modifiedAt(path), modifiedAt(draft)]);
  return touched !== undefined && now !== undefined && now - touched < untouchedTooLongMs;
}

/** Removes a stale lock, if it is still the one that was looked at and nobody else is at it. */
async function clearStale(path: string, stale: Holder | 'garbage', draft: string): Promise<void> {
  const guard = `${path}.takeover`;
  try {
    await writeFile(guard, '', { flag: 'wx' });
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    const [made, now] = await Promise.all([modifiedAt(guard), modifiedAt(draft)]);
    if (made !== undefined && now !== undefined && now - made > guardTooOldMs) await rm(guard, { force: true });
    return;
  }
  try {
    const found = await readHolder(path);
    const isSame = typeof found === 'string' ? found === stale : stale !== 'garbage' && found.token === stale.token;
    if (isSame) await rename(path, `${path}.stale`);
  } finally {
    await rm(`${path}.stale`, { force: true });
    await rm(guard, { force: true });
  }
}

async function readHolder(path: string): Promise<Holder | 'none' | 'garbage'> {
  try {
    const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    try {
      const { size } = await file.stat();
      return size > 4096 ? 'garbage' : parseHolder(await file.readFile('utf8'));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isCode(error, 'ENOENT')) return 'none';
    if (isCode(error, 'ELOOP', 'EISDIR')) return 'garbage';
    throw error;
  }
}

function parseHolder(text: string): Holder | 'garbage' {
  try {
    const { pid, start, host, token } = JSON.parse(text) as Record<string, unknown>;
    if (!Number.isSafeInteger(pid) || Number(pid) <= 0 || typeof host !== 'string' || typeof token !== 'string') {
      return 'garbage';
    }
    return { pid: Number(pid), start: typeof start === 'string' ? start : undefined, host, token };
  } catch {
    return 'garbage';
  }
}

async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, newFile, 0o644);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

async function modifiedAt(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}

function inUse(path: string, { pid, host }: Holder): FileInUse {
  const file = path.replace(/\.lock$/, '');
  return new FileInUse(
    `${file} is in use by process ${pid} on ${host}. One schedule file serves one beat: stop that one, or give this one a file of its own (--schedule).`,
  );
}

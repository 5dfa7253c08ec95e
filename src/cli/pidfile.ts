/**
 * Pid files that a recycled pid does not fool: the pid, and below it when its process started. Links are not followed.
 * A file appears complete or not at all (it is linked into place), so that nobody takes a half-written one for garbage.
 */
import { constants } from 'node:fs';
import { link, lstat, open, rename, rm } from 'node:fs/promises';
import { isAlive, isCode, startOf } from '../core/process-identity.ts';
import type { System } from '../core/system.ts';
import { CommandError, exitCodes } from './exit-codes.ts';

const noFollow = constants.O_NOFOLLOW ?? 0;
const longestPidfile = 1000;

export interface Pidfile {
  /** Removes it if it is still ours. */
  close(): Promise<void>;
}

/** Writes this process's pid file. @throws {CommandError} 73 when its process is running, or it cannot be made. */
export async function createPidfile(path: string, system: System): Promise<Pidfile> {
  const content = `${system.pid}\n${(await startOf(system.pid)) ?? ''}\n`;
  const draft = `${path}.${system.pid}.${system.newId().slice(0, 8)}`;
  try {
    await writeNew(draft, content);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      if ((await place(draft, path)) && (await read(path)) === content) {
        return {
          close: async () => {
            if ((await read(path)) === content) await rm(path, { force: true });
          },
        };
      }
      const found = await read(path);
      const pid = await pidIn(found);
      if (pid !== undefined) {
        throw new CommandError(
          `The pid file ${path} belongs to process ${pid}, which is running. Stop it, or name another file (--pidfile).`,
          exitCodes.cannotCreate,
        );
      }
      system.log.warn({ pidfile: path }, 'The pid file of a process that is gone is replaced');
      await removeStale(path, found, `${draft}.stale`);
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`The pid file ${path} cannot be made: ${messageOf(error)}`, exitCodes.cannotCreate);
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
  throw new CommandError(`The pid file ${path} cannot be made: others keep making it.`, exitCodes.cannotCreate);
}

/** The pid in a pid file, if that very process is alive. */
export async function runningPid(path: string): Promise<number | undefined> {
  return pidIn(await read(path));
}

/** Removes a pid file whose process is gone. */
export async function removeStalePidfile(path: string, system: System): Promise<void> {
  const found = await read(path);
  if (found === undefined || (await pidIn(found)) !== undefined) return;
  await removeStale(path, found, `${path}.${system.pid}.${system.newId().slice(0, 8)}.stale`);
}

async function pidIn(content: string | undefined): Promise<number | undefined> {
  const [first = '', start = ''] = (content ?? '').split('\n');
  const pid = /^[1-9]\d{0,9}$/.test(first.trim()) ? Number(first) : undefined;
  if (pid === undefined || !isAlive(pid)) return undefined;
  const isRecycled = start !== '' && (await startOf(pid)) !== start;
  return isRecycled ? undefined : pid;
}

/** False when something is there already. */
async function place(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    if (!isCode(error, 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK')) throw error;
  }
  try {
    await writeNew(path, (await read(draft)) ?? ''); // a file system without links
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Takes it away; what somebody else has put there meanwhile is put back. */
async function removeStale(path: string, stale: string | undefined, aside: string): Promise<void> {
  try {
    if ((await lstat(path)).isDirectory()) throw new CommandError(`${path} is a folder.`, exitCodes.cannotCreate);
    await rename(path, aside);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw error;
  }
  try {
    if ((await read(aside)) !== stale) await place(aside, path);
  } finally {
    await rm(aside, { force: true });
  }
}

async function writeNew(path: string, content: string): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | noFollow, 0o644);
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | noFollow | (constants.O_NONBLOCK ?? 0));
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(longestPidfile), 0, longestPidfile, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return undefined; // gone, a link, a folder
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Pid files that a recycled pid does not fool: the pid, and below it when its process started. Links are not followed.
 */
import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { isAlive, startOf } from '../core/process-identity.ts';
import type { System } from '../core/system.ts';
import { CommandError, exitCodes } from './exit-codes.ts';

const noFollow = constants.O_NOFOLLOW ?? 0;

export interface Pidfile {
  /** Removes it if it is still ours. */
  close(): Promise<void>;
}

/** Writes this process's pid file. @throws {CommandError} 73 when its process is running, or it cannot be made. */
export async function createPidfile(path: string, system: System): Promise<Pidfile> {
  const content = `${system.pid}\n${(await startOf(system.pid)) ?? ''}\n`;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    if (await write(path, content)) {
      return {
        close: async () => {
          if ((await read(path)) === content) await rm(path, { force: true });
        },
      };
    }
    const pid = await runningPid(path);
    if (pid !== undefined) {
      throw new CommandError(
        `The pid file ${path} belongs to process ${pid}, which is running. Stop it, or name another file (--pidfile).`,
        exitCodes.cannotCreate,
      );
    }
    system.log.warn({ pidfile: path }, 'The pid file of a process that is gone is replaced');
    await rm(path, { force: true });
  }
  throw new CommandError(`The pid file ${path} cannot be made: others keep making it.`, exitCodes.cannotCreate);
}

/** The pid in a pid file, if that very process is alive. */
export async function runningPid(path: string): Promise<number | undefined> {
  const [first = '', start = ''] = ((await read(path)) ?? '').split('\n');
  const pid = /^[1-9]\d{0,9}$/.test(first.trim()) ? Number(first) : undefined;
  if (pid === undefined || !isAlive(pid)) return undefined;
  const isRecycled = start !== '' && (await startOf(pid)) !== start;
  return isRecycled ? undefined : pid;
}

/** False when something is there already. */
async function write(path: string, content: string): Promise<boolean> {
  try {
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | noFollow, 0o644);
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new CommandError(`The pid file ${path} cannot be made: ${messageOf(error)}`, exitCodes.cannotCreate);
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | noFollow);
    try {
      return (await file.readFile('utf8')).slice(0, 1000);
    } finally {
      await file.close();
    }
  } catch {
    return undefined; // gone, a link, a folder
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

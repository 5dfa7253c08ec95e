/** A command started again in the background, for `--detach`: it is waited for a little, in case it cannot start. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { CommandError, exitCodes } from './exit-codes.ts';

/** What cannot start says so by then. */
const detachWaitMs = 1500;

/** @param name of the command: `beat`. @throws {CommandError} with the exit code of what ended at once, or 73 for the log file. */
export async function detach(name: string, logfile: string | undefined): Promise<number> {
  const args = process.argv.slice(1).filter((word) => word !== '--detach');
  const env = { ...process.env };
  delete env[`CELERY_${name.toUpperCase()}_DETACH`];
  const output = logfile === undefined ? 'ignore' : openLog(logfile);
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    detached: true,
    stdio: ['ignore', output, output],
    env,
  });
  if (typeof output === 'number') closeSync(output);
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? exitCodes.failed));
  });
  const started = new Promise<undefined>((resolve) => {
    setTimeout(() => resolve(undefined), detachWaitMs);
  });
  const code = await Promise.race([ended, started]);
  child.unref();
  if (code === undefined) return exitCodes.done;
  const where = logfile === undefined ? '--logfile shows why' : `see ${logfile}`;
  const title = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  throw new CommandError(
    `${title} ended as soon as it was started (${where}).`,
    code === exitCodes.done ? exitCodes.failed : code,
  );
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o644);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`The log file ${path} cannot be made: ${why}`, exitCodes.cannotCreate);
  }
}

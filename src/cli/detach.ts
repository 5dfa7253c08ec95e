/**
 * A command started again in the background, for `--detach`: in a session of its own, so that it outlives the terminal.
 * The starter waits until the other says that it runs, or has ended, and passes on what it said.
 */
import { spawn } from 'node:child_process';
import { closeSync, fchownSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { CommandError, exitCodes } from './exit-codes.ts';
import { openLogFile } from './log-file.ts';
import type { Identity } from './privileges.ts';

export interface DetachOptions {
  /** The command that runs, instead of this Node. */
  readonly executable?: string | undefined;
  /** Whose file a new log file is to be. */
  readonly identity?: Identity | undefined;
  /** The command says when it has come up (`Starter`): it is waited for, up to a minute. */
  readonly tellsWhenUp?: boolean | undefined;
}

/** What cannot start says so by then. */
const detachWaitMs = 1500;
/** From then on only the broker can keep it waiting, which is no failure. */
const configuredWaitMs = 3000;
const lastWordsMs = 500;
const upWaitMs = 60_000;
const mark = 'CELERY_TS_DETACHED';
const starterDescriptor = 3;

/** True in the process that `detach` has started. */
export function isDetached(env: Readonly<Record<string, string | undefined>>): boolean {
  return env[mark] === '1';
}

/** What the detached program tells the one that started it; says nothing where nobody listens. */
export class Starter {
  #isListening: boolean;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#isListening = isDetached(env);
  }

  /** Settings, app and files are in order. */
  configured(): void {
    this.#tell('configured\n');
  }

  /** It runs. */
  up(): void {
    this.#tell('up\n');
    this.#close();
  }

  /** Why it ends. */
  failed(text: string): void {
    this.#tell(`failed ${text.trim()}\n`);
    this.#close();
  }

  #tell(text: string): void {
    if (!this.#isListening) return;
    try {
      writeSync(starterDescriptor, text);
    } catch {
      this.#isListening = false; // the starter has gone on
    }
  }

  #close(): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    closeSync(starterDescriptor);
  }
}

/**
 * @param name of the command: `beat`.
 * @param logfile expanded; its standard output and error go there.
 * @throws {CommandError} with the exit code of what ended at once, or 73 for the log file.
 */
export async function detach(name: string, logfile: string | undefined, options: DetachOptions = {}): Promise<number> {
  const output = logfile === undefined ? 'ignore' : openLogFile(logfile);
  const { uid, gid } = options.identity ?? {};
  if (typeof output === 'number' && output > 2 && (uid !== undefined || gid !== undefined)) {
    fchownSync(output, uid ?? process.getuid?.() ?? 0, gid ?? process.getgid?.() ?? 0);
  }
  const command = options.executable ?? process.execPath;
  const child = spawn(command, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
    env: { ...process.env, [mark]: '1' },
  });
  if (typeof output === 'number' && output > 2) closeSync(output);
  const channel = child.stdio[starterDescriptor] as Readable | null;
  let told = '';
  const started = new Promise<undefined>((resolve) => {
    const after = (ms: number): void => {
      setTimeout(() => resolve(undefined), ms).unref();
    };
    after(options.tellsWhenUp === true ? upWaitMs : detachWaitMs);
    channel?.setEncoding('utf8').on('data', (text: string) => {
      told += text;
      if (/^up$/m.test(told)) resolve(undefined);
      else if (/^configured$/m.test(told)) after(configuredWaitMs);
    });
    channel?.on('error', () => undefined);
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', (error) => {
      reject(new CommandError(`${command} cannot be run: ${error.message}`, exitCodes.configuration));
    });
    child.once('close', (code) => resolve(code ?? exitCodes.failed));
    child.once('exit', (code) => {
      setTimeout(() => resolve(code ?? exitCodes.failed), lastWordsMs).unref(); // somebody else may hold the pipe
    });
  });
  const code = await Promise.race([ended, started]);
  child.unref();
  channel?.destroy();
  if (code === undefined) return exitCodes.done;
  const why = /^failed (.*)/ms
    .exec(told)?.[1]
    ?.trim()
    .replace(/^Error: /, '');
  const where = logfile === undefined ? '--logfile shows why' : `see ${logfile}`;
  const title = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  throw new CommandError(
    why ?? `${title} ended as soon as it was started (${where}).`,
    code === exitCodes.done ? exitCodes.failed : code,
  );
}

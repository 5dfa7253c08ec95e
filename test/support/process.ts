/**
 * A program of a test: started with a clean environment, its output kept line by line, ended by pid when the test's
 * scope ends. `cli.ts` and `python.ts` start theirs through this.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { until } from './until.ts';

export interface StartOptions {
  readonly cwd: string;
  /** On top of PATH, HOME, LANG and TMPDIR; nothing else of this process is inherited. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ended {
  /** The exit code; undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export class Program implements AsyncDisposable {
  readonly pid: number;
  /** Settles once, when the program has ended and its output is complete. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #name: string;
  #stdout = '';
  #stderr = '';
  #hasEnded = false;

  constructor(command: string, args: readonly string[], options: StartOptions) {
    this.#name = [command.split('/').at(-1), ...args].join(' ');
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...inherited(), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.#hasEnded = true;
        resolve({ code: code ?? undefined, signal: signal ?? undefined, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
    this.ended.catch(() => undefined); // whoever awaits it hears of it; a program nobody awaits is not an unhandled error
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Both streams, for messages. */
  get output(): string {
    return this.#stdout + this.#stderr;
  }

  /** False from the moment the program has ended. */
  get isRunning(): boolean {
    return !this.#hasEnded;
  }

  /** The first line on either stream that matches. Fails with all output when the program ends before, or time is up. */
  async line(pattern: RegExp, withinSeconds = 20): Promise<string> {
    const search = (): string | undefined => this.output.split('\n').find((line) => pattern.test(line));
    try {
      const found = await until(() => search() ?? (this.#hasEnded ? 'ended' : undefined), {
        what: `a line like ${pattern}`,
        withinSeconds,
      });
      if (pattern.test(found)) return found;
    } catch (error) {
      throw new Error(`${this.#name}: no line like ${pattern} in ${withinSeconds} s. Output:\n${this.output}`, {
        cause: error,
      });
    }
    throw new Error(`${this.#name} ended before a line like ${pattern}. Output:\n${this.output}`);
  }

  /** Sends a signal, by pid, if the program still runs. */
  signal(name: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(name);
  }

  /** Asks with SIGTERM, insists with SIGKILL after `withinSeconds`; waits for the end. */
  async stop(withinSeconds = 10): Promise<Ended> {
    this.signal('SIGTERM');
    const insist = setTimeout(() => this.signal('SIGKILL'), withinSeconds * 1000);
    try {
      return await this.ended;
    } finally {
      clearTimeout(insist);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL');
    await this.ended.catch(() => undefined);
  }
}

function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'LD_LIBRARY_PATH', 'CELERY_TEST_RUN'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/**
 * A pool in a program of its own (`holder.mjs`), driven over its stdin.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../support/until.ts';

export type News = Readonly<Record<string, unknown>>;

export class HeldPool implements AsyncDisposable {
  readonly pid: number;
  readonly news: News[] = [];
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  stderr = '';
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    let partial = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (partial + text).split('\n');
      partial = lines.pop() ?? '';
      for (const line of lines) this.news.push(JSON.parse(line));
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  }

  /** In a process group of its own, as a terminal would start it. */
  static async start(pool: string, options: object = {}, data: object = {}): Promise<HeldPool> {
    const argument = JSON.stringify({ pool, options, data });
    const program = join(import.meta.dirname, 'holder.mjs');
    const child = spawn(process.execPath, [program, argument], { detached: true, stdio: 'pipe' });
    const held = new HeldPool(child);
    await held.heard(({ ready }) => ready !== undefined, 'the pool to open');
    return held;
  }

  get processes(): readonly number[] {
    return (this.news.find(({ ready }) => ready !== undefined)?.ready ?? []) as number[];
  }

  /** Every process that it has started, its guard included. */
  get descendants(): number[] {
    return childrenOf(this.pid);
  }

  tell(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  async heard(matches: (news: News) => boolean, what: string): Promise<News> {
    try {
      return await until(() => this.news.find(matches), { what });
    } catch (error) {
      const heard = this.news.map((news) => JSON.stringify(news)).join('\n');
      throw new Error(`Never heard of ${what}, but:\n${heard}\n${this.stderr}`, { cause: error });
    }
  }

  async outcome(command: {
    readonly verb: string;
    readonly id: string;
    readonly [more: string]: unknown;
  }): Promise<News> {
    this.tell(command);
    return this.heard(({ ended }) => ended === command.id, `the end of ${command.id}`);
  }

  signal(name: NodeJS.Signals, to: 'program' | 'group' = 'program'): void {
    process.kill(to === 'group' ? -this.pid : this.pid, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // ended already
    }
    await this.ended;
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]) === parent;
      } catch {
        return false;
      }
    });
}

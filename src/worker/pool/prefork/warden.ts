/**
 * Sees to it that no child outlives a killed parent. Children exit by themselves when the channel closes, but one whose
 * task spins never hears of it; so a small shell process holds the list of children, and when its own pipe from the parent
 * closes it gives them half a second and kills what is left. (On Windows a job object does this.)
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { System } from '../../../core/system.ts';

/** Ignores what a terminal sends to the group: it has to be the last. */
const script = `
trap '' INT TERM QUIT HUP TSTP
pids=' '
while read -r change pid; do
  if [ "$change" = + ]; then
    pids="$pids$pid "
  else
    kept=' '
    for known in $pids; do [ "$known" = "$pid" ] || kept="$kept$known "; done
    pids=$kept
  fi
done
[ "$pids" = ' ' ] && exit 0
sleep 0.5 || sleep 1
kill -9 $pids
`;

export class Warden {
  readonly #system: System;
  readonly #pids = new Set<number>();
  #shell: ChildProcess | undefined;
  #isClosed = false;
  #isWarned = false;

  constructor(system: System) {
    this.#system = system;
  }

  watch(pid: number): void {
    this.#pids.add(pid);
    if (this.#shell === undefined) this.#start();
    else this.#tell(`+ ${pid}`);
  }

  forget(pid: number): void {
    if (this.#pids.delete(pid)) this.#tell(`- ${pid}`);
  }

  /** Children that are still watched are killed. */
  close(): void {
    this.#isClosed = true;
    this.#shell?.stdin?.end();
  }

  #start(): void {
    if (process.platform === 'win32' || this.#isClosed) return;
    const shell = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'] });
    this.#shell = shell;
    shell.stdin?.on('error', () => undefined);
    shell.once('error', (error) => this.#onLost(error));
    shell.once('exit', () => this.#onLost());
    shell.unref();
    for (const pid of this.#pids) this.#tell(`+ ${pid}`);
  }

  #tell(line: string): void {
    this.#shell?.stdin?.write(`${line}\n`);
  }

  /** Killed by somebody: another one takes over with the next child. */
  #onLost(error?: Error): void {
    this.#shell = undefined;
    if (this.#isClosed || error === undefined || this.#isWarned) return;
    this.#isWarned = true;
    this.#system.log.warn(
      { err: error },
      'No shell to watch over the pool: a blocked child would outlive this process',
    );
  }
}

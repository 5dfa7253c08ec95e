/**
 * What ends `celery-ts dev`: Ctrl-C and SIGTERM, warmly at first and with each one more firmly; a closed terminal, a
 * reader or an npm that is gone, within seconds, as nobody is there to ask a second time.
 */
import type { CommandContext } from '../context.ts';
import type { Session } from './session.ts';

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;
/** npm passes on a Ctrl-C that the terminal has sent already. */
const sameMs = 300;
const aloneStepMs = 4000;
const parentLookMs = 500;

export class DevSignals {
  readonly #session: Session;
  readonly #say: (text: string) => void;
  readonly #timers: NodeJS.Timeout[] = [];
  #lastAt = Number.NEGATIVE_INFINITY;
  #isAlone = false;
  readonly #onSignal = (name: NodeJS.Signals): void => this.#stop(name);
  readonly #onGone = (): void => this.#endAlone();

  constructor(session: Session, say: (text: string) => void, env: CommandContext['env']) {
    this.#session = session;
    this.#say = say;
    for (const name of stopSignals) process.on(name, this.#onSignal);
    process.on('SIGHUP', this.#onGone);
    if (env.npm_config_user_agent !== undefined) this.#watchParent();
    for (const stream of [process.stdout, process.stderr]) stream.on('error', this.#onGone);
  }

  close(): void {
    for (const name of stopSignals) process.off(name, this.#onSignal);
    process.off('SIGHUP', this.#onGone);
    for (const timer of this.#timers) clearTimeout(timer);
    // The streams stay covered: what is still to be written must not throw.
  }

  #stop(name: NodeJS.Signals): void {
    const now = performance.now();
    if (now - this.#lastAt < sameMs) return;
    this.#lastAt = now;
    if (!this.#session.isStopping) this.#say(`Stopping (${name}): running tasks end first. Once more ends them, too.`);
    this.#session.stop();
  }

  /** A SIGTERM for npm ends the shell between it and us, which passes nothing on. */
  #watchParent(): void {
    const { ppid } = process;
    const timer = setInterval(() => {
      if (process.ppid !== ppid) this.#endAlone();
    }, parentLookMs);
    this.#timers.push(timer.unref());
  }

  #endAlone(): void {
    if (this.#isAlone) return;
    this.#isAlone = true;
    this.#session.stop();
    for (const step of [1, 2]) {
      this.#timers.push(setTimeout(() => this.#session.stop(), step * aloneStepMs));
    }
  }
}

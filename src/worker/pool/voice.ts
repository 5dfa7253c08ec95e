/**
 * Everything a child says: reports and news of runs at once, log records and captured output at once while they are few,
 * so that a task that hangs next has been heard, and in batches when they are many.
 */
import type { Job } from '../../execution/index.ts';
import { LineCutter, logAllowance, OutputBudget, type Writer } from './output.ts';
import { type FromChild, type News, type Stream, sendable } from './wire.ts';

/** Lines in a tenth of a second that are sent one by one. */
const promptLines = 50;
const batchedLines = 64;

export class ChildVoice {
  readonly #sendNow: (message: FromChild) => void;
  readonly #monotonic: () => number;
  readonly #outputBudget: OutputBudget;
  readonly #logBudget: OutputBudget;
  #batch: News[] = [];
  #linesLately = 0;
  #latelySince = 0;
  /** Messages so far, nudges aside. */
  said = 0;

  /** `sendNow` throws when a message cannot be serialized. */
  constructor(sendNow: (message: FromChild) => void, monotonic: () => number) {
    this.#sendNow = sendNow;
    this.#monotonic = monotonic;
    this.#outputBudget = new OutputBudget({ monotonic });
    this.#logBudget = new OutputBudget({ monotonic }, logAllowance);
  }

  send(message: News): void {
    this.said += 1;
    this.flush();
    try {
      this.#sendNow(message);
    } catch {
      this.#sendNow(sendable(message));
    }
  }

  /** The logbook is to be looked at. */
  nudge(): void {
    this.#sendNow(['look']);
  }

  /** A record of the child's logger. */
  log(record: string): void {
    if (!this.#logBudget.take(record)) return;
    const dropped = this.#logBudget.takeDropped();
    if (dropped !== undefined) this.#post(['out', 'stderr', null, null, dropped]);
    this.#post(['log', record]);
  }

  /** The output of a task; undefined: of nobody known. */
  writer(job: Job | undefined): TaskOutput {
    const say = (stream: Stream, line: string): void => {
      this.#post(['out', stream, job?.task ?? null, job?.id ?? null, line]);
    };
    return new TaskOutput(this.#outputBudget, say);
  }

  flush(): void {
    if (this.#batch.length === 0) return;
    const messages = this.#batch;
    this.#batch = [];
    this.#sendNow(['many', ...messages]);
  }

  #post(message: News): void {
    this.said += 1;
    const now = this.#monotonic();
    if (now - this.#latelySince > 100) {
      this.#latelySince = now;
      this.#linesLately = 0;
    }
    this.#linesLately += 1;
    if (this.#linesLately <= promptLines && this.#batch.length === 0) {
      this.#sendNow(message);
      return;
    }
    if (this.#batch.push(message) === 1) setImmediate(() => this.flush());
    if (this.#batch.length >= batchedLines) this.flush();
  }
}

/** Both streams of one writer, cut into lines. */
export class TaskOutput implements Writer {
  readonly #budget: OutputBudget;
  readonly #say: (stream: Stream, line: string) => void;
  readonly #cutters: Readonly<Record<Stream, LineCutter>>;

  constructor(budget: OutputBudget, say: (stream: Stream, line: string) => void) {
    this.#budget = budget;
    this.#say = say;
    const cutter = (stream: Stream): LineCutter =>
      new LineCutter(budget, (line) => {
        this.#sayDropped(stream);
        say(stream, line);
      });
    this.#cutters = { stdout: cutter('stdout'), stderr: cutter('stderr') };
  }

  write(stream: Stream, chunk: string | Uint8Array): void {
    this.#cutters[stream].write(chunk);
  }

  /** What has no newline is a line now, and what was dropped is told. */
  end(): void {
    this.#cutters.stdout.end();
    this.#cutters.stderr.end();
    this.#sayDropped('stdout');
  }

  #sayDropped(stream: Stream): void {
    const dropped = this.#budget.takeDropped();
    if (dropped !== undefined) this.#say(stream, dropped);
  }
}

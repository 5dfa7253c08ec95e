/**
 * What children write and log, on its way into the log of the main process: under the task's name and id where the child
 * could tell, in bounded amounts either way.
 */
import type { System } from '../../../core/system.ts';
import type { PoolOptions } from '../options.ts';
import { LineCutter, OutputBudget } from '../output.ts';
import { levelOf, type Stream } from '../wire.ts';
import type { Member } from './member.ts';

export class ChildLog {
  readonly #system: System;
  readonly #level: ReturnType<typeof levelOf>;
  /** Output that went past the capture in a child. */
  readonly #raw = new WeakMap<Member, Readonly<Record<Stream, LineCutter>>>();

  constructor(options: PoolOptions) {
    this.#system = options.system;
    this.#level = levelOf(options.redirectStdoutsLevel);
  }

  /** A line a task wrote; without a task, one that the app wrote by itself. */
  line(member: Member, stream: Stream, task: string | null, taskId: string | null, text: string): void {
    const whose = task === null ? {} : { task, taskId };
    this.#system.log[this.#level]({ ...whose, child: member.link.pid, stream }, text);
  }

  /** A record of the child's logger. */
  record(member: Member, json: string): void {
    const record: unknown = JSON.parse(json);
    if (typeof record !== 'object' || record === null) return;
    const { level, time: _time, msg, ...fields } = record as Record<string, unknown>;
    const name = this.#system.log.levels.labels[Number(level)];
    this.#system.log[levelOf(name)]({ ...fields, child: member.link.pid }, typeof msg === 'string' ? msg : '');
  }

  output(member: Member, stream: Stream, chunk: Buffer): void {
    let cutters = this.#raw.get(member);
    if (cutters === undefined) {
      const budget = new OutputBudget(this.#system);
      const cutter = (name: Stream): LineCutter =>
        new LineCutter(budget, (text) => {
          const [only] = member.running.size === 1 ? member.running.values() : [];
          const task = only?.job.task ?? null;
          const id = only?.job.id ?? null;
          const dropped = budget.takeDropped();
          if (dropped !== undefined) this.line(member, name, task, id, dropped);
          this.line(member, name, task, id, text);
        });
      cutters = { stdout: cutter('stdout'), stderr: cutter('stderr') };
      this.#raw.set(member, cutters);
    }
    cutters[stream].write(chunk);
  }

  /** It is gone: what it left without a newline is a line. */
  forget(member: Member): void {
    const cutters = this.#raw.get(member);
    cutters?.stdout.end();
    cutters?.stderr.end();
    this.#raw.delete(member);
  }
}

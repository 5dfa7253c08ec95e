/** Asking workers about themselves: one method for each `inspect` command of `commands.ts`. Nothing here changes anything. */
import type { CommandName } from './commands.ts';
import type { AskOptions, Mailbox } from './mailbox.ts';
import type { ActiveQueue, HelloReply, Refusal, ScheduledTask, TaskInfo, WorkerStats } from './replies.ts';

export interface InspectOptions extends Omit<AskOptions, 'destination'> {
  /** Node names; a single one makes every method give that node's answer itself. Default: every worker. */
  readonly destination?: string | readonly string[] | undefined;
}

/** Answers by node name, or the answer of the one node asked; null when nobody answered. */
export type Answers<Scope extends 'all' | 'one', T> =
  | (Scope extends 'one' ? T | Refusal : Readonly<Record<string, T | Refusal>>)
  | null;

/**
 * Questions to workers. A worker that could not answer gives `{ error }` (`isRefusal` tells).
 *
 * @example
 * await app.control.inspect({ timeout: 2 }).ping(); // { 'celery@host': { ok: 'pong' } }, or null
 * Celery: `app.control.inspect`.
 */
export class Inspect<Scope extends 'all' | 'one' = 'all'> {
  readonly #mailbox: Mailbox;
  readonly #options: InspectOptions;

  constructor(mailbox: Mailbox, options: InspectOptions = {}) {
    this.#mailbox = mailbox;
    this.#options = options;
  }

  /** Whether they are there. */
  ping(): Promise<Answers<Scope, { readonly ok: 'pong' }>> {
    return this.#ask('ping');
  }

  /** Software and settings, as text. */
  report(): Promise<Answers<Scope, { readonly ok: string }>> {
    return this.#ask('report');
  }

  /** Settings, secrets masked; only the changed ones without `withDefaults`. */
  conf(options: { withDefaults?: boolean } = {}): Promise<Answers<Scope, Readonly<Record<string, unknown>>>> {
    return this.#ask('conf', { with_defaults: options.withDefaults ?? false });
  }

  /** The logical clock. */
  clock(): Promise<Answers<Scope, { readonly clock: number }>> {
    return this.#ask('clock');
  }

  stats(): Promise<Answers<Scope, WorkerStats>> {
    return this.#ask('stats');
  }

  /** Tasks that are running; with `safe` their arguments are repr texts. */
  active(options: { safe?: boolean } = {}): Promise<Answers<Scope, readonly TaskInfo[]>> {
    return this.#ask('active', { safe: options.safe ?? null });
  }

  /** Tasks held until their time has come. What waits in the broker is not among them. */
  scheduled(): Promise<Answers<Scope, readonly ScheduledTask[]>> {
    return this.#ask('scheduled');
  }

  /** Tasks received and not started. */
  reserved(): Promise<Answers<Scope, readonly TaskInfo[]>> {
    return this.#ask('reserved');
  }

  /** Ids that will not be run. */
  revoked(): Promise<Answers<Scope, readonly string[]>> {
    return this.#ask('revoked');
  }

  /** Tasks known, each with the attributes asked for: `tasks.add [rate_limit=10/m]`. */
  registered(...taskInfoItems: string[]): Promise<Answers<Scope, readonly string[]>> {
    return this.#ask('registered', { taskinfoitems: taskInfoItems });
  }

  /** The same as `registered`. */
  registeredTasks(...taskInfoItems: string[]): Promise<Answers<Scope, readonly string[]>> {
    return this.registered(...taskInfoItems);
  }

  /** Queues that are consumed. */
  activeQueues(): Promise<Answers<Scope, readonly ActiveQueue[]>> {
    return this.#ask('active_queues');
  }

  /** Where tasks are: `{ id: ['active' | 'reserved' | 'ready', info] }`; unknown ones are left out. */
  queryTask(
    ...ids: string[]
  ): Promise<Answers<Scope, Readonly<Record<string, readonly [state: string, info: TaskInfo]>>>> {
    return this.#ask('query_task', { ids });
  }

  /** What workers tell each other at the start: `null` from the node that is `fromNode` itself. */
  hello(fromNode: string, revoked: Readonly<Record<string, unknown>> = {}): Promise<Answers<Scope, HelloReply | null>> {
    return this.#ask('hello', { from_node: fromNode, revoked });
  }

  /** A sample of the resident memory: `47.039MB`. */
  memsample(): Promise<Answers<Scope, string | null>> {
    return this.#ask('memsample');
  }

  /** The samples taken so far, as text. */
  memdump(samples = 10): Promise<Answers<Scope, string>> {
    return this.#ask('memdump', { samples });
  }

  /** A graph of objects; Python workers only. */
  objgraph(
    options: { type?: string; num?: number; maxDepth?: number } = {},
  ): Promise<Answers<Scope, { readonly filename: string }>> {
    const { type = 'Request', num = 200, maxDepth = 10 } = options;
    return this.#ask('objgraph', { num, max_depth: maxDepth, type });
  }

  /** A command of the user's own, registered on the workers. */
  call(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<Answers<Scope, unknown>> {
    return this.#collect(command, args);
  }

  #ask<T>(command: CommandName, args: Readonly<Record<string, unknown>> = {}): Promise<Answers<Scope, T>> {
    return this.#collect<T>(command, args);
  }

  async #collect<T>(command: string, args: Readonly<Record<string, unknown>>): Promise<Answers<Scope, T>> {
    const { destination, ...rest } = this.#options;
    const one = typeof destination === 'string' ? destination : undefined;
    const nodes = typeof destination === 'string' ? [destination] : destination;
    const replies = await this.#mailbox.ask(command, args, { ...rest, destination: nodes });
    if (replies.length === 0) return null;
    const byNode = Object.fromEntries(replies.map(({ node, value }) => [node, value]));
    // What workers answer is their word; the types above are Celery's documentation of it.
    return (one === undefined ? byNode : (byNode[one] ?? null)) as Answers<Scope, T>;
  }
}

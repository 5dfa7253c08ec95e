/**
 * Parts that are started and stopped with a worker, in the order of what they require. A blueprint orders them, makes
 * them, starts them downwards and stops them upwards; what the program itself starts at fixed points stands in the
 * order by name (`Pool`, `Tasks`), so that a step can require it.
 *
 *     initializing ── apply(), start() ──▶ running ── close() ──▶ closing ── stop() ──▶ stopped
 *                                            │  ▲                    └── terminate() ──▶ stopped
 *                                            └──┘ pause(), start(): the connection was lost and is back
 *
 * Celery: `celery.bootsteps`.
 */
import { CeleryError, ImproperlyConfigured } from './errors.ts';
import { nearest } from './nearest.ts';
import type { Logger } from './system.ts';

/**
 * A part of a worker. Made with the worker and told nothing more; for one that starts and stops see `StartStopStep`.
 * Celery: `bootsteps.Step`.
 */
export abstract class Step {
  /** Steps to be started before this one: classes (added when they are not there), or names of the worker's own parts. */
  static readonly requires?: readonly (StepStatics | string)[];
  /** Started after all others. */
  static readonly last?: boolean;
  /** Shown in logs and graphs; default: the name. */
  static readonly label?: string;

  /** False leaves the step out. Celery: `include_if`. */
  includeIf(_parent: unknown): boolean | Promise<boolean> {
    return true;
  }

  /** Makes what the step is about, before anything starts. */
  create(_parent: unknown): unknown {
    return undefined;
  }

  /** What `inspect stats` tells of it. */
  info(_parent: unknown): unknown {
    return undefined;
  }
}

/** What `create` may return, to be started and stopped with the step. */
export interface Startable {
  start?(): unknown;
  close?(): unknown;
  stop?(): unknown;
  terminate?(): unknown;
}

/**
 * A part that is started and stopped with the worker. By default it passes the calls on to what `create` returned.
 * Celery: `bootsteps.StartStopStep`.
 */
export abstract class StartStopStep extends Step {
  /** What `create` returned. */
  obj: Startable | undefined;

  start(_parent: unknown): unknown {
    return this.obj?.start?.();
  }

  /** Stopping begins: take no more. In the order of the start, before any `stop`. */
  close(_parent: unknown): unknown {
    return this.obj?.close?.();
  }

  stop(_parent: unknown): unknown {
    return this.obj?.stop?.();
  }

  /** Instead of `stop` when the worker is to end at once. */
  terminate(parent: unknown): unknown {
    return this.obj?.terminate === undefined ? this.stop(parent) : this.obj.terminate();
  }
}

/** The static side of a step. `name` is the class's, unless it says otherwise. */
export interface StepStatics {
  readonly name: string;
  readonly requires?: readonly (StepStatics | string)[];
  readonly last?: boolean;
  readonly label?: string;
}

/** A class of steps for a parent, which it is given with the options of the command. */
export interface StepClass<Parent> extends StepStatics {
  new (parent: Parent, options: Readonly<Record<string, unknown>>): Step;
}

export type BlueprintState = 'initializing' | 'running' | 'closing' | 'terminating' | 'stopped';

interface Included {
  readonly name: string;
  readonly step: Step;
  /** Index among the fixed points of the last one it requires; -1: none. */
  readonly after: number;
}

/** Celery: `bootsteps.Blueprint`. */
export class Blueprint<Parent> {
  /** `worker`, `consumer`. */
  readonly name: string;
  readonly #classes: readonly Placed<Parent>[];
  readonly #fixed: readonly string[];
  readonly #log: Logger;
  #included: readonly Included[] = [];
  #started: Included[] = [];
  #state: BlueprintState = 'initializing';

  /**
   * `fixed` are the parts the program starts itself, in their order.
   * @throws {ImproperlyConfigured} for a requirement nobody knows, and for steps that require each other in a circle.
   */
  constructor(name: string, given: { steps: Iterable<StepClass<Parent>>; fixed: readonly string[]; log: Logger }) {
    this.name = name;
    this.#fixed = given.fixed;
    this.#log = given.log;
    this.#classes = inOrder([...given.steps], given.fixed, name);
  }

  get state(): BlueprintState {
    return this.#state;
  }

  /** The names of all steps in the order of their start, fixed parts among them. */
  get order(): readonly string[] {
    const own = (after: number): string[] => this.#classes.filter((one) => one.after === after).map(({ name }) => name);
    return [...own(-1), ...this.#fixed.flatMap((name, index) => [name, ...own(index)])];
  }

  /** Each step, in the order of its start, with those that must be started before it: what `graph bootsteps` draws. */
  get requirements(): ReadonlyMap<string, readonly string[]> {
    const fixed = this.#fixed.map((name, index) => [name, this.#fixed.slice(Math.max(0, index - 1), index)] as const);
    const own = this.#classes.map(({ name, requires }) => [name, requires] as const);
    const all = new Map<string, readonly string[]>([...fixed, ...own]);
    return new Map(this.order.map((name) => [name, all.get(name) ?? []]));
  }

  /** The steps that were included, by name. */
  get steps(): ReadonlyMap<string, Step> {
    return new Map(this.#included.map(({ name, step }) => [name, step]));
  }

  /** Makes the steps that want to be included. */
  async apply(parent: Parent, options: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const included: Included[] = [];
    for (const { after, name, stepClass } of this.#classes) {
      await this.#told(name, async () => {
        const step = new stepClass(parent, options);
        if (!(await step.includeIf(parent))) return;
        const made = await step.create(parent);
        if (startsAndStops(step) && isStartable(made)) step.obj = made;
        included.push({ name, step, after });
      });
    }
    this.#included = included;
  }

  /** Starts the steps in order; with `before`, only those that need not wait for that fixed part. Errors are thrown. */
  async start(parent: Parent, options: { readonly before?: string } = {}): Promise<void> {
    const end = options.before === undefined ? this.#fixed.length : this.#fixed.indexOf(options.before);
    this.#state = 'running';
    for (const one of this.#included) {
      if (one.after >= end || this.#started.includes(one)) continue;
      this.#log.debug({ blueprint: this.name, step: one.name }, 'A step starts');
      this.#started.push(one); // first: what started half is stopped too
      const { name, step } = one;
      if (startsAndStops(step)) await this.#told(name, () => step.start(parent));
    }
  }

  /** Tells the started steps, in the order of their start, that stopping begins. Errors are logged. */
  async close(parent: Parent): Promise<void> {
    if (this.#state !== 'running') return;
    this.#state = 'closing';
    for (const one of this.#started) await this.#attempt(one, 'close', parent);
  }

  /** Stops what was started, in reverse order. Errors are logged. */
  async stop(parent: Parent): Promise<void> {
    await this.close(parent);
    await this.#end('stop', parent);
    this.#state = 'stopped';
  }

  /** Ends what was started at once, in reverse order. */
  async terminate(parent: Parent): Promise<void> {
    await this.close(parent);
    this.#state = 'terminating';
    await this.#end('terminate', parent);
    this.#state = 'stopped';
  }

  /** Stops upwards what was started, without closing: `start` begins anew. */
  async pause(parent: Parent): Promise<void> {
    await this.#end('stop', parent);
  }

  /** What the steps tell of themselves. */
  async info(parent: Parent): Promise<Readonly<Record<string, unknown>>> {
    const told: Record<string, unknown> = {};
    for (const { step } of this.#included) {
      const info = await step.info(parent);
      if (typeof info === 'object' && info !== null) Object.assign(told, info);
    }
    return told;
  }

  /** Whose error it is. */
  async #told(name: string, work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof CeleryError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new CeleryError(`The step ${name} of the ${this.name} could not be started: ${why}`, { cause: error });
    }
  }

  async #end(how: 'stop' | 'terminate', parent: Parent): Promise<void> {
    for (let one = this.#started.pop(); one !== undefined; one = this.#started.pop())
      await this.#attempt(one, how, parent);
  }

  async #attempt({ name, step }: Included, what: 'close' | 'stop' | 'terminate', parent: Parent): Promise<void> {
    if (!startsAndStops(step)) return;
    try {
      await step[what](parent);
    } catch (error) {
      this.#log.error({ err: error, blueprint: this.name, step: name, what }, 'A step could not be ended properly');
    }
  }
}

interface Placed<Parent> {
  readonly name: string;
  readonly stepClass: StepClass<Parent>;
  readonly after: number;
  /** Names of what must be started first. */
  readonly requires: readonly string[];
}

/** By what they require, then as they were added; those that are `last` at the end. */
function inOrder<Parent>(
  given: readonly StepClass<Parent>[],
  fixed: readonly string[],
  blueprint: string,
): Placed<Parent>[] {
  const placed = new Map<StepStatics, Placed<Parent>>();
  const place = (stepClass: StepClass<Parent>, path: readonly StepStatics[]): Placed<Parent> => {
    const known = placed.get(stepClass);
    if (known !== undefined) return known;
    if (path.includes(stepClass)) {
      const circle = [...path.slice(path.indexOf(stepClass)), stepClass].map(({ name }) => name).join(' → ');
      throw new ImproperlyConfigured(`Steps of the ${blueprint} require each other in a circle: ${circle}.`);
    }
    let after = -1;
    const requires: string[] = [];
    for (const required of stepClass.requires ?? []) {
      const known = typeof required === 'string' ? stepNamed(required, given) : (required as StepClass<Parent>);
      const point = known === undefined ? fixed.indexOf(lastPart(String(required))) : -1;
      if (known !== undefined) after = Math.max(after, place(known, [...path, stepClass]).after);
      else if (point !== -1) after = Math.max(after, point);
      else throw new ImproperlyConfigured(unknownStep(stepClass, String(required), given, fixed));
      requires.push(known?.name ?? fixed[point] ?? String(required));
    }
    const own: Placed<Parent> = { name: stepClass.name, stepClass, after, requires };
    placed.set(stepClass, own);
    return own;
  };
  const [first, last] = [given.filter(({ last }) => last !== true), given.filter(({ last }) => last === true)];
  for (const stepClass of first) place(stepClass, []);
  for (const stepClass of last) {
    const { after, ...rest } = place(stepClass, []);
    placed.set(stepClass, { ...rest, after: Math.max(after, fixed.length - 1) });
  }
  // Stable: what a step requires never comes after a later fixed part than the step itself.
  return [...placed.values()].sort((a, b) => a.after - b.after);
}

function stepNamed<Parent>(name: string, given: readonly StepClass<Parent>[]): StepClass<Parent> | undefined {
  return given.find((stepClass) => stepClass.name === name || stepClass.name === lastPart(name));
}

/** `celery.worker.components:Pool` → `Pool`. */
function lastPart(name: string): string {
  return /[^.:]*$/.exec(name)?.[0] ?? name;
}

function unknownStep(
  { name }: StepStatics,
  required: string,
  given: readonly StepStatics[],
  fixed: readonly string[],
): string {
  const known = [...fixed, ...given.map((each) => each.name)];
  const near = nearest(lastPart(required), known);
  const hint = near === undefined ? '' : ` Did you mean '${near}'?`;
  return `The step ${name} requires '${required}', which is not known here; known: ${known.join(', ')}.${hint}`;
}

function startsAndStops(step: Step): step is StartStopStep {
  return 'start' in step && 'stop' in step;
}

function isStartable(value: unknown): value is Startable {
  return typeof value === 'object' && value !== null;
}

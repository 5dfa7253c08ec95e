/**
 * Autoscaling: how many children there should be for the tasks that are here. The rule is pure (`decideScale`); the
 * `Autoscaler` applies it to a pool with each message and once every `keepalive`.
 */
import { ImproperlyConfigured } from '../core/errors.ts';
import type { System } from '../core/system.ts';

export interface AutoscaleBounds {
  readonly max: number;
  readonly min: number;
}

export interface ScaleView extends AutoscaleBounds {
  /** Children there are, or are coming. */
  readonly size: number;
  /** Tasks that were given to the pool and have not ended. */
  readonly reserved: number;
  /** ms since the pool last grew or a task last came, whichever is later. */
  readonly quietMs: number;
  readonly keepaliveMs: number;
}

/** How many children to add (above zero) or take away (below): as many as there are tasks, within the bounds; fewer only after a while of quiet. */
export function decideScale({ keepaliveMs, max, min, quietMs, reserved, size }: ScaleView): number {
  const wanted = Math.max(1, min, Math.min(reserved, max));
  if (wanted > size) return wanted - size;
  if (wanted < size && quietMs > keepaliveMs) return wanted - size;
  return 0;
}

/**
 * The bounds of `--autoscale`: `10,3` and `3,10` are the same, `10` alone means from nothing to 10.
 * @throws {ImproperlyConfigured} for anything else
 */
export function parseAutoscale(text: string): AutoscaleBounds {
  const parts = text.split(',').map((part) => part.trim());
  const numbers = parts.map(Number);
  const isFine =
    parts.length <= 2 && numbers.every((bound, at) => parts[at] !== '' && Number.isInteger(bound) && bound >= 0);
  const max = Math.max(...numbers);
  if (!isFine || max < 1) {
    throw new ImproperlyConfigured(
      `Autoscaling takes two numbers of processes, 'max,min', such as '10,3'; not '${text}'.`,
    );
  }
  return { max, min: parts.length === 2 ? Math.min(...numbers) : 0 };
}

/** What is scaled: a `Pool`. */
export interface Scalable {
  readonly size: number;
  grow(count: number): void;
  shrink(count: number): void;
}

export interface AutoscalerOptions extends AutoscaleBounds {
  readonly pool: Scalable;
  /** Tasks that were given to the pool and have not ended. */
  readonly reserved: () => number;
  readonly system: System;
}

/** How long a pool keeps children without work: Celery's environment variable `AUTOSCALE_KEEPALIVE`, default 30 s. */
function keepaliveSeconds(env: System['env']): number {
  const seconds = Number(env.AUTOSCALE_KEEPALIVE);
  return seconds > 0 ? seconds : 30;
}

/** Keeps a pool between its bounds. Celery: `celery.worker.autoscale:Autoscaler`. */
export class Autoscaler {
  readonly #options: AutoscalerOptions;
  readonly #system: System;
  readonly #log: System['log'];
  readonly #keepaliveMs: number;
  #bounds: AutoscaleBounds;
  #activeAt: number;
  #cancel: (() => void) | undefined;

  constructor(options: AutoscalerOptions) {
    const { max, min, system } = options;
    this.#options = options;
    this.#system = system;
    this.#log = system.log.child({ name: 'celery.worker.autoscale' });
    this.#keepaliveMs = keepaliveSeconds(system.env) * 1000;
    this.#bounds = { max, min };
    this.#activeAt = system.monotonic();
  }

  /** Looks every `keepalive` from now on. */
  start(): void {
    this.#cancel = this.#system.after(this.#keepaliveMs, () => {
      this.scale();
      this.start();
    });
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** A task has come. */
  onTaskReceived(): void {
    this.#activeAt = this.#system.monotonic();
    this.scale();
  }

  scale(): void {
    const { pool, reserved } = this.#options;
    const quietMs = this.#system.monotonic() - this.#activeAt;
    const change = decideScale({
      ...this.#bounds,
      size: pool.size,
      reserved: reserved(),
      quietMs,
      keepaliveMs: this.#keepaliveMs,
    });
    if (change > 0) this.#grow(change);
    else if (change < 0) this.#shrink(-change);
  }

  /** Changes the bounds given and keeps to them at once. Returns all, and how far `max` has moved. */
  update(newMax: number | undefined, newMin: number | undefined): AutoscaleBounds & { readonly maxChange: number } {
    const max = newMax ?? this.#bounds.max;
    const min = newMin ?? this.#bounds.min;
    const maxChange = max - this.#bounds.max;
    this.#bounds = { max, min };
    const { size } = this.#options.pool;
    if (size > Math.max(1, max)) this.#shrink(size - Math.max(1, max));
    else if (size < min) this.#grow(min - size);
    return { max, min, maxChange };
  }

  /** What `inspect stats` shows under `autoscaler`. */
  stats(): { readonly max: number; readonly min: number; readonly current: number; readonly qty: number } {
    const { pool, reserved } = this.#options;
    return { ...this.#bounds, current: pool.size, qty: reserved() };
  }

  #grow(count: number): void {
    this.#activeAt = this.#system.monotonic();
    this.#log.info({ count }, 'Scaling up');
    this.#options.pool.grow(count);
  }

  #shrink(count: number): void {
    this.#log.info({ count }, 'Scaling down');
    this.#options.pool.shrink(count);
  }
}

/** What workers answer. Names inside are those of the wire: the same that Python tools read. */

/** What a worker answers that could not do what it was asked. */
export interface Refusal {
  readonly error: string;
}

/** What a control command is answered with. */
export type Acknowledgement = { readonly ok: string } | Refusal;

/** Whether a worker said no. */
export function isRefusal(reply: unknown): reply is Refusal {
  return typeof reply === 'object' && reply !== null && 'error' in reply && !('ok' in reply);
}

/** A task a worker has: running, reserved or scheduled. */
export interface TaskInfo {
  readonly id: string;
  readonly name: string;
  /** With `safe`: their repr texts. */
  readonly args: readonly unknown[] | string;
  readonly kwargs: Readonly<Record<string, unknown>> | string;
  readonly type: string;
  readonly hostname: string;
  /** Seconds since the epoch; null: not started. */
  readonly time_start: number | null;
  readonly acknowledged: boolean;
  readonly delivery_info: {
    readonly exchange: string;
    readonly routing_key: string;
    readonly priority: number | null;
    readonly redelivered: boolean;
  };
  readonly worker_pid: number | null;
}

/** A task a worker holds until its time has come. */
export interface ScheduledTask {
  /** ISO text. */
  readonly eta: string;
  readonly priority: number;
  readonly request: TaskInfo;
}

/** `inspect stats`. What else a worker tells is there as well. */
export interface WorkerStats {
  /** Tasks accepted since the start, by name. */
  readonly total: Readonly<Record<string, number>>;
  readonly pid: number;
  /** A number as text, as Celery sends it. */
  readonly clock: string;
  /** Seconds. */
  readonly uptime: number;
  readonly pool: Readonly<Record<string, unknown>>;
  readonly broker: Readonly<Record<string, unknown>>;
  readonly prefetch_count: number;
  readonly rusage: Readonly<Record<string, unknown>>;
  readonly autoscaler?: Readonly<Record<string, unknown>>;
}

/** `inspect active_queues`, one entry. What else a worker tells is there as well. */
export interface ActiveQueue {
  readonly name: string;
  readonly exchange: { readonly name: string; readonly type: string; readonly [more: string]: unknown };
  readonly routing_key: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly auto_delete: boolean;
  readonly no_ack: boolean;
  /** Of our workers: false for one that is lost and not yet there again. */
  readonly consuming?: boolean;
  readonly [more: string]: unknown;
}

/** `inspect hello`. */
export interface HelloReply {
  readonly revoked: Readonly<Record<string, unknown>>;
  readonly clock: number;
}

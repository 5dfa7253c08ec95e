/** What the commands of remote control need of the worker they run in. */
import type { Connection, Consumer } from '../../amqp/index.ts';
import type { Celery } from '../../app/index.ts';
import type { LogicalClock } from '../../core/logical-clock.ts';
import type { EventDispatcher } from '../../events/index.ts';
import type { Autoscaler } from '../autoscale.ts';
import type { Gossip } from '../consumer/gossip.ts';
import type { Heartbeat } from '../consumer/heartbeat.ts';
import type { TaskService } from '../consumer/tasks.ts';
import type { Pool } from '../pool/pool.ts';
import type { RateLimits } from '../rate-limits.ts';
import type { Revoked } from '../revoked.ts';

export interface CommandHost {
  readonly app: Celery;
  readonly nodeName: string;
  readonly clock: LogicalClock;
  readonly pool: Pool;
  readonly tasks: TaskService;
  readonly consumer: Consumer;
  readonly connection: Connection;
  readonly events: EventDispatcher;
  readonly heartbeat: Heartbeat;
  readonly gossip: Gossip | undefined;
  readonly autoscaler: Autoscaler | undefined;
  readonly revoked: Revoked;
  readonly limits: RateLimits;
  /** Epoch ms. */
  readonly startedAt: number;
  /** The pool changed its size: the prefetch follows. */
  followPool(): void;
  /** Begins a warm stop. */
  shutdown(reason: string): void;
}

/** A command: arguments are checked already (`control/commands.ts`). */
export type WorkerCommand = (host: CommandHost, args: Readonly<Record<string, unknown>>) => unknown;

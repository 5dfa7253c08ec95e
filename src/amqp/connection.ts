/** The supervisor of one connection. */
import { EventEmitter } from 'node:events';
import type { System } from '../core/system.ts';
import { type AmqpMetrics, createMetrics } from './metrics.ts';
import type { TlsOptions } from './url.ts';

export type ConnectionState = 'idle' | 'connecting' | 'open' | 'blocked' | 'suspect' | 'closed';

export interface ConnectionRetry {
  /** Rounds over all URLs after the first failed one, before a first `connect()` rejects. Default: no limit. */
  startup?: number;
  /** The same after a loss. Default: no limit. */
  later?: number;
  /** Default 100. */
  firstDelayMs?: number;
  /** Default 30,000. */
  longestDelayMs?: number;
}

export interface ConnectionOptions {
  readonly urls: string | readonly string[];
  /** Shown by the broker's management as `connection_name`. */
  readonly name: string;
  readonly heartbeatSeconds?: number;
  /** For each attempt, TLS and handshake included. Default 4. */
  readonly connectTimeoutSeconds?: number;
  readonly retry?: ConnectionRetry;
  readonly tls?: boolean | TlsOptions;
  readonly loginMethod?: 'PLAIN' | 'AMQPLAIN' | 'EXTERNAL';
  readonly failover?: 'round-robin' | 'shuffle';
  readonly clientProperties?: Readonly<Record<string, unknown>>;
  readonly metrics?: AmqpMetrics;
  readonly system: System;
}

export interface ConnectionEvents {
  open: [news: { epoch: number; url: string; isReconnect: boolean }];
  lost: [news: { epoch: number; error: Error }];
  retrying: [news: { attempt: number; delayMs: number; error: Error }];
  blocked: [reason: string];
  unblocked: [];
  suspect: [news: { silentMs: number }];
  /** The retry limit was reached; the connection is idle. */
  failed: [error: Error];
  closed: [];
}

export class Connection extends EventEmitter<ConnectionEvents> {
  readonly name: string;
  readonly metrics: AmqpMetrics;

  constructor(options: ConnectionOptions) {
    super();
    this.name = options.name;
    this.metrics = options.metrics ?? createMetrics();
  }

  get state(): ConnectionState {
    return 'idle';
  }
  /** Grows with every open; 0 before the first. */
  get epoch(): number {
    return 0;
  }
  get isOpen(): boolean {
    return false;
  }
  get blockedReason(): string | undefined {
    return undefined;
  }
  /** Masked URL of the broker it is (or was last) connected to. */
  get url(): string {
    return '';
  }
  connect(_signal?: AbortSignal): Promise<void> {
    throw new Error('unfinished');
  }
  close(): Promise<void> {
    throw new Error('unfinished');
  }
}

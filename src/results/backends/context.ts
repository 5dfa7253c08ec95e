/** What a backend is opened with. `app/` fills it: the settings are those of its configuration, by the same names. */
import type { Connection, Publisher } from '../../amqp/index.ts';
import type { System } from '../../core/system.ts';
import type { Codec, ErrorRegistry } from '../../message/index.ts';
import type { ResultBackend } from '../backend.ts';

/** The settings that backends read. Durations are seconds. */
export interface BackendSettings {
  /** Results older than this may be gone. Unset or 0: kept for ever. */
  readonly resultExpires?: number | undefined;
  /** Results survive a restart of the broker. */
  readonly resultPersistent?: boolean | undefined;
  /** The serializer of stored documents. Default: `json`. */
  readonly resultSerializer?: string | undefined;
  /** What stored documents are compressed with, where the backend can. Unset: nothing. */
  readonly resultCompression?: string | undefined;
  /** Results that nobody holds kept in memory. -1: as the backend says; 0 or unset: without limit. */
  readonly resultCacheMax?: number | undefined;
  /** Attempts to reach the store after the first. Default: no limit but the time. */
  readonly resultBackendMaxRetries?: number | undefined;
  /** The pause before the second attempt, in ms; doubled for each further one. Default: 10. */
  readonly resultBackendBaseSleepBetweenRetriesMs?: number | undefined;
  /** The longest pause, in ms. Default: 1,000. */
  readonly resultBackendMaxSleepBetweenRetriesMs?: number | undefined;
  /** How long storing a result is tried. Default: 60. */
  readonly resultStoreTimeout?: number | undefined;
  readonly resultBackendTransportOptions?: Readonly<Record<string, unknown>> | undefined;
  readonly redisSocketTimeout?: number | undefined;
  readonly redisSocketConnectTimeout?: number | undefined;
  readonly redisBackendUseSsl?: unknown;
  readonly redisHost?: string | undefined;
  readonly redisPort?: number | undefined;
  readonly redisDb?: number | string | undefined;
  readonly redisUsername?: string | undefined;
  readonly redisPassword?: string | undefined;
  readonly redisClientName?: string | undefined;
  /** Seconds between two looks whether an idle connection still answers; 0: none. Default: 30 for the one that hears of results. */
  readonly redisBackendHealthCheckInterval?: number | undefined;
  /** Gives user and password before each connection. */
  readonly redisBackendCredentialProvider?: unknown;
}

export interface BackendContext {
  /** The setting `resultBackend` with the password in place; undefined when none is set. */
  readonly url: string | undefined;
  readonly settings: BackendSettings;
  readonly codec: Codec;
  /** Content types taken from results: `resultAcceptContent`. Default: what the codec accepts. */
  readonly accept?: ReadonlySet<string> | undefined;
  /** The error classes a failure may come back as. */
  readonly errors?: ErrorRegistry | undefined;
  readonly system: System;
  /** The app's own connections, opened when first asked for. Only backends that live on the broker ask. */
  readonly broker: {
    publisher(): Promise<Publisher>;
    /** The connection for consuming. */
    connection(): Promise<Connection>;
  };
}

/** `resultCacheMax` for `KnownStates`: nothing for a backend's own bound. */
export function looseBound({ resultCacheMax = -1 }: BackendSettings): { readonly maxLoose?: number } {
  if (resultCacheMax < 0) return {};
  return { maxLoose: resultCacheMax === 0 ? Number.POSITIVE_INFINITY : resultCacheMax };
}

export type OpenBackend = (context: BackendContext) => Promise<ResultBackend>;

/** The pools by name: a new one is a file that fills the port and a row here; it loads when its name is asked for. */
import { ImproperlyConfigured } from '../../core/errors.ts';
import type { OpenPool, PoolOptions } from './options.ts';
import type { Pool } from './pool.ts';

export type {
  ChildModule,
  LoadedTracer,
  LoadTracer,
  OpenPool,
  PoolKind,
  PoolOptions,
  TracerContext,
} from './options.ts';
export { PoolStartError } from './options.ts';
export type { Pool, PoolStats } from './pool.ts';

const prefork = async (): Promise<OpenPool> => (await import('./prefork/index.ts')).openPreforkPool;
const threads = async (): Promise<OpenPool> => (await import('./threads/index.ts')).openThreadPool;
const inLoop = async (): Promise<OpenPool> => (await import('./in-process.ts')).openAsyncPool;
const solo = async (): Promise<OpenPool> => (await import('./in-process.ts')).openSoloPool;

export const pools: ReadonlyMap<string, () => Promise<OpenPool>> = new Map([
  ['prefork', prefork],
  ['processes', prefork],
  ['threads', threads],
  ['async', inLoop],
  ['gevent', inLoop],
  ['eventlet', inLoop],
  ['solo', solo],
]);

/**
 * Opens a pool by its name, ready to take jobs.
 * @throws {ImproperlyConfigured} for an unknown name
 * @throws {PoolStartError} when the app does not load in a child, or no child gets ready
 */
export async function openPool(name: string, options: PoolOptions): Promise<Pool> {
  const row = pools.get(name);
  if (row === undefined) {
    throw new ImproperlyConfigured(`There is no pool named '${name}'; known: ${[...pools.keys()].join(', ')}.`);
  }
  const open = await row();
  return open(options);
}

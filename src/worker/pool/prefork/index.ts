/** Child processes: the default. A task can block, crash, leak or be killed without the worker noticing more than that. */
import type { PoolOptions } from '../options.ts';
import type { Pool } from '../pool.ts';
import { openChildPool } from './parent.ts';
import { processLinker } from './process.ts';

export function openPreforkPool(options: PoolOptions): Promise<Pool> {
  return openChildPool(processLinker(options.system), options);
}

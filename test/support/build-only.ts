/** Before tests that bring their own brokers: builds `dist` when `src` is newer. */
import { buildOnce } from './build.ts';

export async function setup(): Promise<void> {
  await buildOnce();
}

/** How long the fault tests wait for what must come: twice as long as the row says, four times in the full
 * tier, which has more to do, three times for Python Celery, which is asked what it does and not how fast. */
import { type UntilOptions, until as untilOnce } from '../support/until.ts';

const factor = process.env.FAULTS_TIER === 'full' ? 4 : process.env.FAULTS_AGAINST === 'celery' ? 3 : 2;

/** A deadline that is only a deadline: what is promised in seconds is measured and expected by the row. */
export function patience(withinSeconds: number): number {
  return withinSeconds * factor;
}

export function until<T>(
  probe: () => T | Promise<T>,
  options: UntilOptions,
): Promise<Exclude<T, undefined | null | false | 0 | ''>> {
  return untilOnce(probe, { ...options, withinSeconds: patience(options.withinSeconds ?? 15) });
}

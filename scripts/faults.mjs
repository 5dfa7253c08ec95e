/**
 * `npm run test:faults` and `npm run test:faults:full`: the fault tests, quick or whole; `-- --against celery` runs
 * them on Python Celery where the promise is not about us alone. `--seed N` plays a nemesis of the full tier again,
 * `--nemesis-seconds N` lets it go on for longer. Other arguments go to vitest (`-t frozen`, say).
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const given = process.argv.slice(2);
const take = (name) => {
  const at = given.indexOf(name);
  if (at < 0) return undefined;
  const [, value] = given.splice(at, 2);
  return value;
};
const tier = take('--tier') ?? 'fast';
const against = take('--against') ?? 'celery-ts';
const numbers = { FAULTS_SEED: take('--seed'), FAULTS_NEMESIS_SECONDS: take('--nemesis-seconds') };
const areNumbers = Object.values(numbers).every((value) => value === undefined || /^\d+$/.test(value));
if (!['fast', 'full'].includes(tier) || !['celery-ts', 'celery'].includes(against) || !areNumbers) {
  console.error(
    'Usage: faults.mjs [--tier fast|full] [--against celery-ts|celery] [--seed N] [--nemesis-seconds N] [arguments of vitest]',
  );
  process.exit(2);
}
const vitest = join(import.meta.dirname, '..', 'node_modules', 'vitest', 'vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--project', 'faults', '--maxWorkers', '2', '--maxConcurrency', '6', ...given],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
      FAULTS_TIER: tier,
      FAULTS_AGAINST: against,
    },
  },
);
process.exitCode = status ?? 1;

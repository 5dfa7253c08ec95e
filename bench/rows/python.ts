/** Python Celery's prefork pool on the same messages, with the same prefetch and late acknowledgement. */
import { join } from 'node:path';
import { dropQueue, type Row, rateOf, ratePerSecond, root, workThrough } from '../measure.ts';

export const pythonPrefork: Row = {
  name: 'consume: Python Celery -P prefork -c 2',
  async run({ brokerUrl, count, inFlight, prefetch, python }) {
    if (python === undefined) return 'no interpreter with Celery: set CELERY_TEST_PYTHON';
    const env = { BENCH_BROKER_URL: brokerUrl, BENCH_QUEUE: 'python' };
    await rateOf('delay', { ...env, BENCH_COUNT: `${count}`, BENCH_IN_FLIGHT: `${inFlight}` });
    const tally = await workThrough({
      command: python,
      args: [
        '-m',
        'celery',
        '-A',
        'tasks',
        'worker',
        '-P',
        'prefork',
        '-c',
        '2',
        '-l',
        'WARNING',
        '--without-gossip',
        '--without-mingle',
      ],
      env: {
        ...env,
        BENCH_MULTIPLIER: `${prefetch / 2}`,
        PYTHONPATH: join(root, 'bench'),
        PYTHONDONTWRITEBYTECODE: '1',
        C_FORCE_ROOT: '1',
      },
      count,
    });
    await dropQueue(brokerUrl, 'python');
    return ratePerSecond(tally);
  },
};

/** `add.delay()`. */
import { dropQueue, type Row, rateOf } from '../measure.ts';
import { rawPublish } from './raw-publish.ts';

export const delay: Row = {
  name: 'publish: celery-ts delay()',
  against: [{ row: rawPublish, goal: 0.7 }],
  async run({ brokerUrl, count, inFlight }) {
    const env = {
      BENCH_BROKER_URL: brokerUrl,
      BENCH_QUEUE: 'delay',
      BENCH_COUNT: `${count}`,
      BENCH_IN_FLIGHT: `${inFlight}`,
    };
    const rate = await rateOf('delay', env);
    await dropQueue(brokerUrl, 'delay');
    return rate;
  },
};

/** amqplib alone, publishing with confirms. */
import { dropQueue, type Row, rateOf } from '../measure.ts';

export const rawPublish: Row = {
  name: 'publish: amqplib, confirmed',
  async run({ brokerUrl, count, inFlight }) {
    const env = {
      BENCH_BROKER_URL: brokerUrl,
      BENCH_QUEUE: 'raw-publish',
      BENCH_COUNT: `${count}`,
      BENCH_IN_FLIGHT: `${inFlight}`,
    };
    const rate = await rateOf('raw-publish', env);
    await dropQueue(brokerUrl, 'raw-publish');
    return rate;
  },
};

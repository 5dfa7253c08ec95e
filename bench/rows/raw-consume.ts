/** amqplib alone, consuming and acknowledging a queue that is full already. */
import { dropQueue, type Row, rateOf } from '../measure.ts';

export const rawConsume: Row = {
  name: 'consume: amqplib, acknowledged',
  async run({ brokerUrl, count, inFlight, prefetch }) {
    const env = { BENCH_BROKER_URL: brokerUrl, BENCH_QUEUE: 'raw-consume', BENCH_COUNT: `${count}` };
    await rateOf('delay', { ...env, BENCH_IN_FLIGHT: `${inFlight}` });
    const rate = await rateOf('raw-consume', { ...env, BENCH_PREFETCH: `${prefetch}` });
    await dropQueue(brokerUrl, 'raw-consume');
    return rate;
  },
};

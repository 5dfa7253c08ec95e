/** Takes `BENCH_COUNT` messages by amqplib alone and acknowledges each, `BENCH_PREFETCH` unacknowledged at most. */
import { connect } from 'amqplib';

const count = Number(process.env.BENCH_COUNT);
const connection = await connect(String(process.env.BENCH_BROKER_URL));
const channel = await connection.createChannel();
await channel.prefetch(Number(process.env.BENCH_PREFETCH));

let first = 0;
let seen = 0;
await new Promise<void>((resolve, reject) => {
  const take = async (): Promise<void> => {
    await channel.consume(String(process.env.BENCH_QUEUE), (message) => {
      if (message === null) return reject(new Error('The queue is gone.'));
      if (seen === 0) first = performance.now();
      seen += 1;
      channel.ack(message);
      if (seen === count) resolve();
    });
  };
  take().catch(reject);
});
const seconds = (performance.now() - first) / 1000;
await channel.close(); // the acks are out
await connection.close();
console.log(JSON.stringify({ seconds, count }));

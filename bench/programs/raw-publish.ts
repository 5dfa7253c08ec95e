/** The same by amqplib alone: a confirm channel, the same message as `delay()` made, the same number in flight. */
import { connect } from 'amqplib';
import { add, app } from '../tasks.ts';

const count = Number(process.env.BENCH_COUNT);
const inFlight = Number(process.env.BENCH_IN_FLIGHT);
const queue = String(process.env.BENCH_QUEUE);

await add.delay(2, 3); // declares the queue as the app does, and leaves one message as the pattern
await app.close();

const connection = await connect(String(process.env.BENCH_BROKER_URL));
const channel = await connection.createConfirmChannel();
const pattern = await channel.get(queue, { noAck: true });
if (pattern === false) throw new Error('The pattern message is not there.');
const { properties, content } = pattern;

const started = performance.now();
await new Promise<void>((resolve, reject) => {
  let sent = 0;
  let confirmed = 0;
  const send = (): void => {
    sent += 1;
    channel.sendToQueue(queue, content, properties, (error) => {
      if (error) return reject(error);
      confirmed += 1;
      if (confirmed === count) return resolve();
      if (sent < count) send();
    });
  };
  while (sent < Math.min(inFlight, count)) send();
});
console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, count }));
await connection.close();

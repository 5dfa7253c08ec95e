/**
 * What the embedded broker costs: messages a second through amqplib beside RabbitMQ's, in one run on one machine, and the
 * memory of a long queue. The broker has a process of its own, as RabbitMQ has.
 */
import { type ChannelModel, connect } from 'amqplib';
import { expect, inject, it } from 'vitest';
import { root } from '../support/build.ts';
import { Program } from '../support/process.ts';
import { openBroker } from '../support/vhost.ts';

const count = 20_000;
/** Body and properties of a task message as Celery sends it. */
const body = Buffer.from('[[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]');
const id = '0b3f7a3e-7a58-4f29-9a0e-5d7c6b6f0f7a';
const properties = {
  persistent: true,
  contentType: 'application/json',
  contentEncoding: 'utf-8',
  correlationId: id,
  replyTo: id,
  priority: 0,
  headers: {
    lang: 'js',
    task: 'tasks.add',
    id,
    shadow: null,
    eta: null,
    expires: null,
    group: null,
    group_index: null,
    retries: 0,
    timelimit: [null, null],
    root_id: id,
    parent_id: null,
    argsrepr: '[1, 2]',
    kwargsrepr: '{}',
    origin: 'gen1@host',
    ignore_result: false,
  },
};

const program = `
  import { startBroker } from 'celery-ts/broker';
  const broker = await startBroker();
  console.log('listening at ' + broker.url);
  let asked = 0;
  process.on('SIGUSR2', () => {
    globalThis.gc();
    asked += 1;
    console.log('rss ' + asked + ' ' + process.memoryUsage().rss);
  });`;

function brokerProcess(): Program {
  return new Program(process.execPath, ['--expose-gc', '--input-type=module', '-e', program], { cwd: root });
}

async function urlOf(broker: Program): Promise<string> {
  return (await broker.line(/^listening at /)).replace('listening at ', '');
}

/** Publishes with at most 1,000 unconfirmed; resolves when all are confirmed. */
async function publish(connection: ChannelModel, queue: string, messages: number): Promise<void> {
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue, {});
  let [sent, confirmed] = [0, 0];
  await new Promise<void>((resolve) => {
    const pump = (): void => {
      while (sent < messages && sent - confirmed < 1000) {
        sent += 1;
        channel.sendToQueue(queue, body, properties, () => {
          confirmed += 1;
          if (confirmed === messages) resolve();
          else if (sent - confirmed < 500) pump();
        });
      }
    };
    pump();
  });
  await channel.close();
}

async function consume(connection: ChannelModel, queue: string, messages: number): Promise<void> {
  const channel = await connection.createChannel();
  await channel.prefetch(500);
  let got = 0;
  await new Promise<void>((resolve, reject) => {
    const take = (message: Parameters<Parameters<typeof channel.consume>[1]>[0]): void => {
      if (message === null) return;
      channel.ack(message);
      got += 1;
      if (got === messages) resolve();
    };
    channel.consume(queue, take).catch(reject);
  });
  await channel.close();
}

interface Rates {
  publish: number;
  consume: number;
}

/** Messages a second, the best of three rounds: the machine has other work. */
async function measure(url: string): Promise<Rates> {
  const connection = await connect(url, { noDelay: true });
  const best: Rates = { publish: 0, consume: 0 };
  for (let round = 0; round < 3; round += 1) {
    const start = performance.now();
    await publish(connection, 'speed', count);
    const published = performance.now();
    await consume(connection, 'speed', count);
    const consumed = performance.now();
    best.publish = Math.max(best.publish, (count / (published - start)) * 1000);
    best.consume = Math.max(best.consume, (count / (consumed - published)) * 1000);
  }
  await connection.close();
  return best;
}

it('is at least as fast as RabbitMQ: publish with confirms, consume with acknowledgements', async ({ skip }) => {
  const offer = inject('broker');
  if (offer.kind !== 'rabbitmq') skip('There is no RabbitMQ to compare with.');
  await using broker = brokerProcess();
  await using rabbit = await openBroker(offer);
  const [ours, theirs] = [await measure(await urlOf(broker)), await measure(rabbit.url)];
  console.log(`messages/s, embedded: ${show(ours)}; RabbitMQ: ${show(theirs)}`);
  expect(ours.publish / theirs.publish).toBeGreaterThanOrEqual(1);
  expect(ours.consume / theirs.consume).toBeGreaterThanOrEqual(1);
});

it('keeps 100,000 task messages in less than 150 MB', async () => {
  await using broker = brokerProcess();
  const connection = await connect(await urlOf(broker), { noDelay: true });
  let asked = 0;
  const megabytes = async (): Promise<number> => {
    asked += 1;
    broker.signal('SIGUSR2');
    const line = await broker.line(new RegExp(`^rss ${asked} `));
    return Number(line.split(' ').at(-1)) / 1_000_000;
  };
  const before = await megabytes();
  await publish(connection, 'long', 100_000);
  const after = await megabytes();
  await connection.close();
  console.log(`100,000 messages: ${Math.round(after - before)} MB`);
  expect(after - before).toBeLessThan(150);
});

function show(rates: Rates): string {
  return `publish ${Math.round(rates.publish)}, consume ${Math.round(rates.consume)}`;
}

/**
 * One world on the chosen broker: a fresh vhost on RabbitMQ, or a fresh embedded broker in this process.
 * Knows nothing of vitest: `bench/` opens its world here too.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'amqplib';
import type { BrokerOffer } from './broker-choice.ts';
import { Management } from './management.ts';

export interface TestBroker extends AsyncDisposable {
  /** The address for apps, workers and clients, vhost included. */
  readonly url: string;
  readonly kind: BrokerOffer['kind'];
  /** Its name as in `url`, decoded. */
  readonly vhost: string;
  /** True when other tests use the same vhost: a broker given by URL that has no management API. */
  readonly isShared: boolean;
  /** RabbitMQ's management API, where there is one. */
  readonly management: Management | undefined;
  /** Messages ready in a queue; undefined when there is no such queue. */
  depth(queue: string): Promise<number | undefined>;
  /** Drops the vhost (connections to it are closed by the broker), or stops the embedded broker. */
  close(): Promise<void>;
}

/** A fresh broker or vhost. Close it at the end. */
export function openBroker(offer: BrokerOffer): Promise<TestBroker> {
  return offer.kind === 'embedded' ? openEmbedded(offer.isStrict) : openVhost(offer);
}

async function openEmbedded(strict: boolean): Promise<TestBroker> {
  const { startBroker } = await import('celery-ts/broker');
  const broker = await startBroker({ strict });
  return describe({
    url: broker.url,
    kind: 'embedded',
    isShared: false,
    management: undefined,
    close: async () => {
      await broker.close();
    },
  });
}

async function openVhost(offer: Extract<BrokerOffer, { kind: 'rabbitmq' }>): Promise<TestBroker> {
  if (offer.management === undefined) {
    const close = async (): Promise<void> => undefined;
    return describe({ url: offer.url, kind: 'rabbitmq', isShared: true, management: undefined, close });
  }
  const management = new Management(offer.management.url, offer.management.user, offer.management.password);
  const vhost = offer.prefix + randomBytes(6).toString('hex');
  await management.addVhost(vhost);
  const url = new URL(offer.url);
  url.pathname = `/${encodeURIComponent(vhost)}`;
  const close = (): Promise<void> => management.deleteVhost(vhost);
  return describe({ url: url.href, kind: 'rabbitmq', isShared: false, management, close });
}

function describe(given: Omit<TestBroker, 'vhost' | 'depth' | typeof Symbol.asyncDispose>): TestBroker {
  const path = new URL(given.url).pathname;
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= given.close();
    return closing;
  };
  return {
    ...given,
    vhost: path === '' || path === '/' || path === '//' ? '/' : decodeURIComponent(path.slice(1)),
    depth: (queue) => depth(given.url, queue),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function depth(url: string, queue: string): Promise<number | undefined> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  try {
    const channel = await connection.createChannel();
    channel.on('error', () => undefined); // a missing queue closes the channel; the answer is the rejection
    return (await channel.checkQueue(queue)).messageCount;
  } catch {
    return undefined;
  } finally {
    await connection.close().catch(() => undefined);
  }
}

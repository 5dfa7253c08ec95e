/**
 * Which broker the tests run on: the first of `CELERY_TEST_BROKER_URL`, Docker, `rabbitmq-server` on PATH, and the
 * embedded broker, which needs nothing but Node. `CELERY_TEST_NO_RABBITMQ=1` goes straight to the last;
 * `CELERY_TEST_REQUIRE_RABBITMQ=1` fails rather than take it.
 * The embedded broker is strict: it refuses what RabbitMQ's newest version refuses.
 * Chosen and started once a run; what is offered is plain data, so that it can be handed to other processes.
 * Knows nothing of vitest: `bench/` chooses by the same rules.
 */
import { randomBytes } from 'node:crypto';
import { Management } from './management.ts';
import { findRabbitServer, startRabbitNode } from './rabbitmq-node.ts';

export type BrokerOffer =
  | {
      readonly kind: 'rabbitmq';
      readonly source: 'url' | 'docker' | 'private node';
      /** With the vhost it came with, if any. */
      readonly url: string;
      /** Undefined: no management API was found, so everybody shares the vhost of `url`. */
      readonly management: { readonly url: string; readonly user: string; readonly password: string } | undefined;
      readonly version: string;
      /** What the names of this run's vhosts begin with. */
      readonly prefix: string;
    }
  | { readonly kind: 'embedded'; readonly isStrict: boolean };

export interface ChosenBroker {
  readonly offer: BrokerOffer;
  /** One line for people. */
  readonly sentence: string;
  close(): Promise<void>;
}

type RabbitOffer = Extract<BrokerOffer, { kind: 'rabbitmq' }>;

const dockerImage = 'rabbitmq:4-management';
const dockerSeconds = 120;

/** `note` hears why a choice that looked possible was not taken. */
export async function chooseBroker(note: (sentence: string) => void = () => undefined): Promise<ChosenBroker> {
  const chosen = await firstOf(note);
  if (process.env.CELERY_TEST_REQUIRE_RABBITMQ === '1' && chosen.offer.kind !== 'rabbitmq') {
    throw new Error(
      'CELERY_TEST_REQUIRE_RABBITMQ is set, and there is no RabbitMQ: no URL, no Docker, no server on PATH.',
    );
  }
  return chosen;
}

async function firstOf(note: (sentence: string) => void): Promise<ChosenBroker> {
  const embedded: ChosenBroker = {
    offer: { kind: 'embedded', isStrict: true },
    sentence: 'the embedded broker',
    close: async () => undefined,
  };
  if (process.env.CELERY_TEST_NO_RABBITMQ === '1') return embedded;
  const url = process.env.CELERY_TEST_BROKER_URL;
  if (url !== undefined && url !== '') return offerUrl(url);
  const docker = await offerDocker(note);
  if (docker !== undefined) return docker;
  if (findRabbitServer() !== undefined) return offerPrivateNode();
  return embedded;
}

async function offerUrl(url: string): Promise<ChosenBroker> {
  const management = await findManagement(url);
  const offer = await describe('url', url, management);
  const where = new URL(url).host;
  return {
    offer,
    sentence:
      management === undefined
        ? `the broker at ${where} (no management API there: all tests share one vhost)`
        : `RabbitMQ ${offer.version} at ${where}`,
    close: async () => {
      if (management !== undefined) await sweep(management, offer.prefix);
    },
  };
}

async function offerPrivateNode(): Promise<ChosenBroker> {
  const node = await startRabbitNode();
  const offer = await describe('private node', node.url, node.management);
  return { offer, sentence: `RabbitMQ ${offer.version}, a private node on port ${node.port}`, close: node.close };
}

async function offerDocker(note: (sentence: string) => void): Promise<ChosenBroker | undefined> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers');
  try {
    await getContainerRuntimeClient();
  } catch {
    return undefined; // no Docker here: the usual case, not worth a word
  }
  try {
    const starting = new GenericContainer(dockerImage)
      .withExposedPorts(5672, 15672)
      .withWaitStrategy(Wait.forHttp('/api/overview', 15672).withBasicCredentials('guest', 'guest'))
      .withStartupTimeout(dockerSeconds * 1000)
      .start();
    const container = await within(starting, dockerSeconds);
    const host = container.getHost();
    const management = new Management(`http://${host}:${container.getMappedPort(15672)}`, 'guest', 'guest');
    const offer = await describe('docker', `amqp://guest:guest@${host}:${container.getMappedPort(5672)}`, management);
    return {
      offer,
      sentence: `RabbitMQ ${offer.version} in Docker`,
      close: async () => {
        await container.stop();
      },
    };
  } catch (error) {
    note(`Docker answers, but ${dockerImage} did not start there: ${String(error)}`);
    return undefined;
  }
}

async function describe(
  source: RabbitOffer['source'],
  url: string,
  management: Management | undefined,
): Promise<RabbitOffer> {
  return {
    kind: 'rabbitmq',
    source,
    url,
    management:
      management === undefined
        ? undefined
        : { url: management.url, user: management.user, password: management.password },
    version: management === undefined ? 'unknown' : await management.version(),
    prefix: `celery-ts-test-${randomBytes(4).toString('hex')}-`,
  };
}

/** The API of a broker that we know by its AMQP address only: said, at the usual port, or 10,000 above. */
async function findManagement(amqpUrl: string): Promise<Management | undefined> {
  const { hostname, port, username, password } = new URL(amqpUrl);
  const said = process.env.CELERY_TEST_MANAGEMENT_URL;
  const addresses =
    said !== undefined
      ? [said.replace(/\/$/, '')]
      : [`http://${hostname}:${Number(port || 5672) + 10_000}`, `http://${hostname}:15672`];
  const user = decodeURIComponent(username) || 'guest';
  const secret = decodeURIComponent(password) || 'guest';
  for (const address of addresses) {
    const management = new Management(address, user, secret);
    if (await management.isUp()) return management;
  }
  return undefined;
}

/** Drops what tests of this run left on a broker that lives on. */
async function sweep(management: Management, prefix: string): Promise<void> {
  for (const vhost of await management.vhosts()) {
    if (vhost.startsWith(prefix)) await management.deleteVhost(vhost);
  }
}

async function within<T>(work: Promise<T>, seconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

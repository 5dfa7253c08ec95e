/**
 * What a queue receives from beat, as it comes: entry, due time and id of each message, and when it came.
 */
import { createServer, connect as dial, type Socket } from 'node:net';
import { connect } from 'amqplib';
import { until } from '../support/until.ts';

export interface Received {
  readonly id: string;
  readonly entry: string;
  /** Epoch ms. */
  readonly due: number;
  readonly at: number;
}

export interface Ledger extends AsyncDisposable {
  readonly all: readonly Received[];
  /** Of one entry, by due time, doubles left out. */
  runs(entry: string): readonly Received[];
  /** Messages whose id came before. */
  readonly doubles: readonly Received[];
}

/** Consumes the queue, once it is there. */
export async function beatLedger(url: string, queue = 'celery'): Promise<Ledger> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const all: Received[] = [];
  await until(
    async () => {
      const probe = await connection.createChannel();
      probe.on('error', () => undefined);
      await probe.checkQueue(queue);
      await probe.consume(
        queue,
        (message) => {
          if (message === null) return;
          const { headers = {} } = message.properties;
          const due = Date.parse(String(headers['celery-ts-due']));
          all.push({ id: String(headers.id), entry: String(headers['celery-ts-entry']), due, at: Date.now() });
        },
        { noAck: true },
      );
      return true;
    },
    { what: `the queue ${queue}` },
  );
  return {
    all,
    runs: (entry) => {
      const first = new Map(all.filter((run) => run.entry === entry).map((run) => [run.id, run]));
      return [...first.values()].sort((a, b) => a.due - b.due);
    },
    get doubles() {
      const seen = new Set<string>();
      return all.filter(({ id }) => seen.size === seen.add(id).size);
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

/** A module with entries; `source` is the inside of `beatSchedule`. */
export function beatTasks(source: string, config = ''): string {
  return `
import { Celery, crontab, solar, schedule } from 'celery-ts';
export const app = new Celery('tasks', { brokerUrl: process.env.CELERY_BROKER_URL, ${config} });
export const add = app.task('tasks.add', (x, y) => x + y);
app.conf.beatSchedule = { ${source} };
`;
}

export interface Proxy extends AsyncDisposable {
  /** The broker's address, through the proxy. */
  readonly url: string;
  /** Cuts what is open and refuses what is new. */
  cut(): void;
  restore(): void;
}

/** A way to the broker that can be cut. */
export async function proxyTo(url: string): Promise<Proxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((client) => {
    keep(client);
    if (isCut) return client.destroy();
    const broker = keep(dial(Number(target.port || 5672), target.hostname));
    client.pipe(broker).pipe(client);
    client.on('close', () => broker.destroy());
    broker.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String(typeof address === 'object' && address !== null ? address.port : 0);
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: through.href,
    cut,
    restore: () => {
      isCut = false;
    },
    [Symbol.asyncDispose]: async () => {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

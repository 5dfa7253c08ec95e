/**
 * What a queue receives from beat, as it comes: entry, due time and id of each message, and when it came.
 */
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

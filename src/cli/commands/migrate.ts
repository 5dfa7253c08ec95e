/** `celery-ts migrate`: moves or copies the messages of queues from one broker to another. */
import { Command, InvalidArgumentError } from 'commander';
import {
  brokerVersion,
  Connection,
  inspectQueue,
  maskedUrl,
  Publisher,
  parseBrokerUrls,
  type Queue,
} from '../../amqp/index.ts';
import { type Celery, connectionOptions } from '../../app/index.ts';
import { CloseStack } from '../../core/close-stack.ts';
import type { Envelope } from '../../core/envelope.ts';
import { decodeTask } from '../../message/index.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { migrate } from '../migration.ts';
import type { DefineCommand } from '../program.ts';
import { printableLine } from '../style.ts';
import { list, seconds } from './worker.ts';

interface Options {
  readonly limit?: number;
  readonly timeout: number;
  readonly ackMessages?: boolean;
  readonly tasks?: readonly string[];
  readonly queues?: readonly string[];
  readonly forever?: boolean;
  readonly quiet?: boolean;
}

export const migrateCommand: DefineCommand = (context, run) =>
  new Command('migrate')
    .description('copy the messages of the queues to another broker, or move them there')
    .argument('<source>', 'the broker they are on: amqp://old-host//')
    .argument('<destination>', 'the broker they go to: amqp://new-host//')
    .option('-n, --limit <count>', 'messages at most', atLeastOne)
    .option('-t, --timeout <seconds>', 'the end, after this long without a message', seconds, 1)
    .option('-a, --ack-messages', 'move: each is taken away at the source once the destination has confirmed it')
    .option('-T, --tasks <names>', 'these tasks only, comma separated', list)
    .option('-Q, --queues <names>', "these queues instead of the app's, comma separated; from:to renames", list)
    .option('-F, --forever', 'go on until stopped')
    .action((source: string, destination: string, options: Options, command: Command) =>
      run(runMigration(context, { source, destination }, options, command)),
    );

interface Ends {
  readonly source: string;
  readonly destination: string;
}

async function runMigration(context: CommandContext, ends: Ends, options: Options, command: Command): Promise<number> {
  const { app, system } = await loadCommandApp(context, command, { optional: true });
  await using opened = new CloseStack();
  opened.defer(() => app.close());
  const [from, to] = [parseBrokerUrls(ends.source), parseBrokerUrls(ends.destination)].map((urls) =>
    urls.map(maskedUrl).join(', '),
  );
  const source = opened.adopt(connectionTo(app, ends.source, 'read'));
  const target = opened.adopt(connectionTo(app, ends.destination, 'write'));
  await source.connect();
  await target.connect();
  const destination = new Publisher(target, { publishTimeoutSeconds: app.config.publishTimeout, system });
  opened.defer(() => destination.close());

  const { queues, total } = await queuesToMigrate(context, app, source, options);
  if (queues.size === 0) {
    say(context, 'There is no queue to migrate.');
    return exitCodes.done;
  }
  const loops = [...queues.values()].filter(({ name }) => queues.has(name));
  if (loops.length > 0 && (await areSame(source, target))) {
    const names = loops.map(({ name }) => name).join(', ');
    throw new CommandError(`Source and destination are the same broker: ${names} would never end.`, exitCodes.usage);
  }
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  const shown = options.forever === true ? '' : `/${Math.min(total, limit)}`;
  const tasks = options.tasks === undefined ? undefined : new Set(options.tasks);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const name of stopSignals) process.once(name, onSignal);
  let count = 0;
  try {
    await migrate({
      source,
      destination,
      queues,
      acks: options.ackMessages === true,
      limit,
      idleMs: options.forever === true ? undefined : options.timeout * 1000,
      wants: (envelope) => tasks === undefined || tasks.has(taskOf(app, envelope).task),
      onMigrated: (envelope, queue) => {
        count += 1;
        if (command.optsWithGlobals<Options>().quiet === true) return;
        const { id, task } = taskOf(app, envelope);
        say(context, printableLine(`Migrating task ${count}${shown}: ${task}[${id}] (${queue})`));
      },
      system,
      signal: stop.signal,
    });
  } finally {
    for (const name of stopSignals) process.off(name, onSignal);
  }
  const messages = `${count} ${count === 1 ? 'message' : 'messages'}`;
  say(context, `${options.ackMessages === true ? 'Moved' : 'Copied'} ${messages} from ${from} to ${to}.`);
  return exitCodes.done;
}

/** Whatever names its host has. */
async function areSame(source: Connection, target: Connection): Promise<boolean> {
  if (source.url === target.url) return true;
  const [here, there] = [await brokerVersion(source), await brokerVersion(target)];
  const vhostOf = ({ url }: Connection): string | undefined => parseBrokerUrls(url)[0]?.vhost;
  return here.cluster !== '' && here.cluster === there.cluster && vhostOf(source) === vhostOf(target);
}

const stopSignals = ['SIGINT', 'SIGTERM'] as const;

/** One that is not there is told soon; a loss on the way is repaired. */
function connectionTo(app: Celery, url: string, direction: 'read' | 'write'): Connection {
  const options = connectionOptions(app, direction, `celery-ts migrate (${direction})`);
  return new Connection({ ...options, urls: url, retry: { startup: 2 } });
}

/** By their names at the source, those that are there; and how many messages they hold. */
async function queuesToMigrate(
  context: CommandContext,
  app: Celery,
  source: Connection,
  options: Options,
): Promise<{ queues: Map<string, Queue>; total: number }> {
  const renamed = new Map<string, string>();
  for (const word of options.queues ?? []) {
    const at = word.indexOf(':');
    renamed.set(at === -1 ? word : word.slice(0, at), at === -1 ? word : word.slice(at + 1));
  }
  const queues = new Map<string, Queue>();
  let total = 0;
  for (const queue of app.router.consumed({ only: [...renamed.keys()] })) {
    if (queue.isBroadcast) continue; // a broadcast: each worker's own, which nobody else can name
    const counts = await inspectQueue(source, queue.name);
    if (counts === undefined) {
      context.stderr.write(`The source has no queue ${printableLine(queue.name)}.\n`);
      continue;
    }
    total += counts.messageCount;
    queues.set(queue.name, asNamed(queue, renamed.get(queue.name) || queue.name));
  }
  return { queues, total };
}

/** Bound as the first one is; with its own name as the key where that was the first one's. */
function asNamed(queue: Queue, name: string): Queue {
  if (name === queue.name) return queue;
  return queue.with({ name, ...(queue.routingKey === queue.name ? { routingKey: name } : {}) });
}

/** Of both protocols: the first has them in the body. */
function taskOf(app: Celery, envelope: Envelope): { readonly task: string; readonly id: string } {
  try {
    return decodeTask(envelope, app.codec);
  } catch {
    return { task: '(not a task)', id: envelope.properties.correlationId ?? '?' };
  }
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It should be a whole number from 1 on.');
  return value;
}

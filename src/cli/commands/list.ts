/**
 * `celery-ts list bindings`: the topology of the app, of its settings, not of the broker (whose management may not be
 * there to ask). `celery-ts list delayed`: what waits in the broker's delay levels.
 */
import { Command, InvalidArgumentError } from 'commander';
import { brokerVersion, delayLevels, delayTarget, inspectQueue, peekQueue, type Queue } from '../../amqp/index.ts';
import type { Celery } from '../../app/index.ts';
import { decodeTask } from '../../message/index.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';
import { columns } from '../table.ts';

interface Options {
  readonly json?: boolean;
  readonly limit: number;
}

export const listCommand: DefineCommand = (context, run) =>
  new Command('list')
    .description('show bindings of queues, or what waits for its time')
    .addCommand(
      new Command('bindings')
        .description('show each queue of the app with its exchange and routing key')
        .option('-j, --json', 'one JSON document instead of text')
        .action((options: Options, command: Command) => run(listBindings(context, options, command))),
    )
    .addCommand(
      new Command('delayed')
        .description('show the tasks that wait in the broker for their time, by queue')
        .option('-n, --limit <count>', 'look at no more than this many of each level', atLeastOne, 1000)
        .option('-j, --json', 'one JSON document instead of text')
        .action((options: Options, command: Command) => run(listDelayed(context, options, command))),
    );

async function listBindings(context: CommandContext, options: Options, command: Command): Promise<number> {
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const rows = app.router.consumed().flatMap(bindingsOf);
    if (options.json === true) say(context, JSON.stringify(rows));
    else {
      const cells = rows.map((row) => [
        row.queue,
        row.exchange,
        row.type,
        row.routingKey,
        argumentsText(row.arguments),
      ]);
      for (const line of columns(['QUEUE', 'EXCHANGE', 'TYPE', 'ROUTING KEY', 'ARGUMENTS'], cells)) say(context, line);
    }
    return exitCodes.done;
  } finally {
    await app.close();
  }
}

interface BindingRow {
  readonly queue: string;
  readonly exchange: string;
  readonly type: string;
  readonly routingKey: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

function bindingsOf(queue: Queue): BindingRow[] {
  return queue.bindings.map(({ exchange, routingKey, arguments: given }) => ({
    queue: queue.name,
    exchange: exchange.name,
    type: exchange.name === '' ? 'direct' : exchange.type,
    routingKey: exchange.name === '' ? queue.name : routingKey,
    arguments: given,
  }));
}

function argumentsText(given: Readonly<Record<string, unknown>>): string {
  return Object.keys(given).length === 0 ? '' : JSON.stringify(given);
}

interface DelayedTask {
  /** The queue, or the exchange with the routing key where it is on its way to. */
  readonly target: string;
  readonly id: string;
  readonly task: string;
  /** Epoch ms; undefined when the message does not say. */
  readonly due: number | undefined;
}

async function listDelayed(context: CommandContext, options: Options, command: Command): Promise<number> {
  const { app, system } = await loadCommandApp(context, command, { optional: true });
  try {
    const { tasks, total, isHidden } = await delayedTasks(app, options.limit);
    if (options.json === true) {
      const rows = tasks.map(({ due, ...task }) => ({
        ...task,
        due: due === undefined ? null : new Date(due).toISOString(),
      }));
      say(context, JSON.stringify({ total, tasks: rows }));
      return exitCodes.done;
    }
    const now = system.now();
    const cells = tasks.map(({ due, id, target, task }) => [
      target,
      due === undefined ? '?' : new Date(due).toISOString(),
      due === undefined ? '?' : inWords(due - now),
      task,
      id,
    ]);
    if (cells.length > 0) for (const line of columns(['QUEUE', 'DUE', 'IN', 'TASK', 'ID'], cells)) say(context, line);
    say(
      context,
      total === 0 ? 'Nothing waits.' : `${total} ${total === 1 ? 'task waits' : 'tasks wait'} in the broker.`,
    );
    if (isHidden) {
      say(
        context,
        'The levels are quorum queues, in which a look would count as a delivery: only their number is told.',
      );
    } else if (tasks.length < total) say(context, `${total - tasks.length} more are not shown (--limit).`);
    return exitCodes.done;
  } finally {
    await app.close();
  }
}

async function delayedTasks(
  app: Celery,
  limit: number,
): Promise<{ readonly tasks: readonly DelayedTask[]; readonly total: number; readonly isHidden: boolean }> {
  const type = app.config.brokerNativeDelayedDeliveryQueueType;
  const connection = await app.connections.consuming();
  const tasks: DelayedTask[] = [];
  let total = 0;
  // RabbitMQ 4 gives quorum queues a limit of deliveries, and a look would count as one.
  const major = Number.parseInt((await brokerVersion(connection)).version, 10);
  const isHidden = type === 'quorum' && !(major < 4);
  for (const { name } of delayLevels(type)) {
    if (isHidden) {
      total += (await inspectQueue(connection, name))?.messageCount ?? 0;
      continue;
    }
    const found = await peekQueue(connection, name, limit);
    if (found === undefined) break; // the levels are declared together: nothing has ever been delayed here
    total += found.total;
    for (const { envelope, info } of found.messages) {
      const target = delayTarget(info.exchange, info.routingKey);
      const where = target?.exchange === '' ? target.routingKey : `${target?.exchange} (${target?.routingKey})`;
      tasks.push({ target: queueOf(app, target) ?? where, ...taskOf(envelope, app) });
    }
  }
  tasks.sort((a, b) => a.target.localeCompare(b.target) || (a.due ?? 0) - (b.due ?? 0));
  return { tasks, total: Math.max(total, tasks.length), isHidden: isHidden && total > 0 };
}

/** The app's queue that is bound with just that exchange and key. */
function queueOf(app: Celery, target: ReturnType<typeof delayTarget>): string | undefined {
  if (target === undefined || target.exchange === '') return undefined;
  const isMeant = ({ bindings }: Queue): boolean =>
    bindings.some(({ exchange, routingKey }) => exchange.name === target.exchange && routingKey === target.routingKey);
  return [...app.router.queues].find(isMeant)?.name;
}

function taskOf(envelope: Parameters<typeof decodeTask>[0], app: Celery): Omit<DelayedTask, 'target'> {
  try {
    const { eta, id, task } = decodeTask(envelope, app.codec);
    return { id, task, due: eta };
  } catch {
    return { id: envelope.properties.correlationId ?? '?', task: '(not a task)', due: undefined };
  }
}

/** `5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
function inWords(delayMs: number): string {
  const seconds = Math.max(0, Math.round(delayMs / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600), Math.floor(seconds / 60)];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It should be a whole number from 1 on.');
  return value;
}

/** `celery-ts call`: sends a task by name and prints its id, or its result. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { CallOptions } from '../../task/index.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import type { DefineCommand } from '../program.ts';
import { printResult } from './result.ts';
import { seconds } from './worker.ts';

interface Options {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly eta?: Date;
  readonly countdown?: number;
  readonly expires?: Date | number;
  readonly serializer?: string;
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  /** Seconds; true: without end. */
  readonly wait?: number | true;
}

export const callCommand: DefineCommand = (context, run) =>
  new Command('call')
    .description('send a task and print its id, or wait for its result')
    .argument('<name>', 'the registered name, tasks.add')
    .addOption(new Option('-a, --args <json>', 'arguments as a JSON list').argParser(jsonList).default([], '[]'))
    .addOption(
      new Option('-k, --kwargs <json>', 'named arguments as a JSON object').argParser(jsonObject).default({}, '{}'),
    )
    .option('--eta <time>', 'not before this time, ISO 8601', date)
    .option('--countdown <seconds>', 'not before this many seconds have passed', seconds)
    .option('--expires <time>', 'not after this time (ISO 8601) or this many seconds', expiry)
    .option('--serializer <name>', 'how the arguments are written: json, yaml, msgpack')
    .option('--queue <name>', 'send it to this queue instead of where its routes lead')
    .option('--exchange <name>', 'publish it to this exchange')
    .option('--routing-key <key>', 'publish it with this routing key')
    .option('--wait [seconds]', 'wait for the result and print it instead of the id', seconds)
    .action((name: string, options: Options, command: Command) => run(call(context, name, options, command)));

async function call(context: CommandContext, name: string, options: Options, command: Command): Promise<number> {
  const { app } = await loadCommandApp(context, command, { optional: true });
  const { args, countdown, eta, exchange, expires, kwargs, queue, routingKey, serializer } = options;
  const callOptions: CallOptions = { kwargs, countdown, eta, expires, exchange, queue, routingKey, serializer };
  try {
    const result = await app.sendTask(name, args, callOptions);
    if (options.wait === undefined) say(context, result.id);
    else await printResult(context, result, options.wait === true ? undefined : options.wait);
    return 0;
  } finally {
    await app.close();
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`It is not JSON: ${(error as Error).message}`);
  }
}

function jsonList(text: string): readonly unknown[] {
  const value = parse(text);
  if (!Array.isArray(value)) throw new InvalidArgumentError("It should be a JSON list, '[1, 2]' say.");
  return value;
}

function jsonObject(text: string): Readonly<Record<string, unknown>> {
  const value = parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidArgumentError(`It should be a JSON object, '{"x": 1}' say.`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function date(text: string): Date {
  const value = new Date(text);
  if (Number.isNaN(value.getTime())) throw new InvalidArgumentError('It should be a time, 2026-01-31T12:00:00Z say.');
  return value;
}

function expiry(text: string): Date | number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : date(text);
}

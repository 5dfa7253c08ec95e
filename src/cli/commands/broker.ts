/**
 * `celery-ts broker`: the embedded broker alone, until a signal comes.
 */
import { Command, InvalidArgumentError } from 'commander';
import { type Broker, startBroker } from '../../broker/index.ts';
import { packageVersion } from '../../core/package-version.ts';
import { nodeSystem } from '../../core/system.ts';
import { type CommandContext, say } from '../context.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { createLogger, levelNamed } from '../logger.ts';
import type { DefineCommand } from '../program.ts';
import { loglevelOption } from './worker.ts';

interface Options {
  readonly port: number;
  readonly host: string;
  readonly data?: string;
  readonly strict?: boolean;
  readonly vhost?: readonly string[];
  readonly loglevel: string;
  readonly color?: boolean;
  readonly quiet?: boolean;
}

const amqpPort = 5672;
const thisMachine = '127.0.0.1';

export const brokerCommand: DefineCommand = (context, run) =>
  new Command('broker')
    .description('run an AMQP 0-9-1 broker for development and tests; production is RabbitMQ')
    .option('-p, --port <port>', 'TCP port; 0 takes a free one', portNumber, amqpPort)
    .option('--host <address>', 'address to listen on', thisMachine)
    .option('--data <folder>', 'keep durable queues and persistent messages here; without it all is in memory')
    .option('--strict', "refuse what RabbitMQ's newest version refuses, instead of warning")
    .option('--vhost <names...>', 'virtual hosts beside /')
    .addOption(loglevelOption())
    .action((_options: Options, command: Command) => run(runBroker(context, command.optsWithGlobals())));

async function runBroker(context: CommandContext, options: Options): Promise<number> {
  const level = levelNamed(options.loglevel);
  if (level === undefined) throw new CommandError(`No log level is called '${options.loglevel}'.`, exitCodes.usage);
  const isTerminal = context.stderr.isTTY === true;
  const color = isTerminal && options.color !== false && !context.env.NO_COLOR;
  const system = nodeSystem({ log: await createLogger({ level, isTerminal, color }) });
  if (!isLoopback(options.host)) {
    system.log.warn(
      { host: options.host },
      'The broker can be reached from other machines, as guest with password guest',
    );
  }
  await using broker = await start({
    port: options.port,
    host: options.host,
    strict: options.strict === true,
    vhosts: ['/', ...(options.vhost ?? [])],
    system,
    ...(options.data === undefined ? {} : { dataDir: options.data }),
  });
  if (options.quiet !== true) context.stdout.write(banner(broker, options));
  say(context, `The broker listens at ${broker.url.replace('%2F', '/')}`);
  await untilStopped(broker);
  return exitCodes.done;
}

async function start(options: Parameters<typeof startBroker>[0] & { port: number; host: string }): Promise<Broker> {
  try {
    return await startBroker(options);
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error && 'code' in error)) throw error;
    const isTaken = error.code === 'EADDRINUSE';
    const text = isTaken
      ? `Port ${options.port} of ${options.host} is in use, perhaps by RabbitMQ: name another with --port.`
      : `The broker cannot start: ${error.message}`;
    throw new CommandError(text, exitCodes.cannotCreate);
  }
}

function banner(broker: Broker, { data, strict, host }: Options): string {
  const rows = [
    ['listener', `${host}:${broker.port}`],
    ['data', data ?? 'in memory'],
    ['deprecated', strict === true ? 'refused' : 'warned about'],
  ];
  return [
    `celery-ts broker v${packageVersion()}, for development and tests.`,
    ...rows.map(([name = '', value]) => `    . ${name} -> ${value}`),
    '',
  ].join('\n');
}

/** The first signal stops in good order; the second has its usual effect. */
async function untilStopped(broker: Broker): Promise<void> {
  const signals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
  let stop = (): void => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  for (const signal of signals) process.once(signal, stop);
  try {
    await Promise.race([stopped, broker.closed]);
  } catch (error) {
    throw new CommandError(`The data folder cannot be written, so the broker has closed: ${String(error)}`);
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

export function portNumber(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError('It should be a number from 0 to 65535.');
  }
  return port;
}

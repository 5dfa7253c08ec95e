/**
 * `celery-ts dev`: broker, worker and beat in one command, with one log, started again when the sources change.
 */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { CloseStack } from '../../core/close-stack.ts';
import { packageVersion } from '../../core/package-version.ts';
import { nodeSystem } from '../../core/system.ts';
import { type CommandContext, changeDirectory, type GlobalOptions } from '../context.ts';
import { DevBroker } from '../dev/dev-broker.ts';
import type { AppNews, ReadyNews } from '../dev/link.ts';
import { clockTime, type Speaker, showLine } from '../dev/log-line.ts';
import { Session } from '../dev/session.ts';
import { DevSignals } from '../dev/signals.ts';
import { SourceWatch } from '../dev/watch.ts';
import { createLineLogger, levelNamed } from '../logger.ts';
import type { DefineCommand } from '../program.ts';
import { styleFor } from '../style.ts';
import { portNumber } from './broker.ts';
import { loglevelOption } from './worker.ts';

interface Options extends GlobalOptions {
  readonly loglevel: string;
  readonly concurrency?: string;
  readonly pool?: string;
  readonly queues?: string;
  readonly hostname?: string;
  readonly beat?: boolean;
  readonly brokerPort?: number;
  readonly data?: string;
  readonly watch?: readonly string[];
  readonly poll?: boolean;
}

export const devCommand: DefineCommand = (context, run) =>
  new Command('dev')
    .description('run a broker, a worker and beat for development, anew when the sources change')
    .option('-c, --concurrency <count>', "tasks at a time; the app's setting or 2 by default")
    .option('-P, --pool <pool>', 'what runs the tasks, as for worker')
    .option('-Q, --queues <names>', 'queues to consume, comma separated')
    .option('-n, --hostname <name>', "the worker's node name")
    .addOption(loglevelOption().default('INFO'))
    .option('-B, --beat', 'run beat, even without a schedule; by default when there is one')
    .option('--no-beat', 'run no beat')
    .option(
      '--broker-port <port>',
      "embedded broker on this port, whatever the app's URL is; 0 takes a free one",
      portNumber,
    )
    .option('--data <folder>', 'the embedded broker keeps durable queues and persistent messages here')
    .option('--watch <paths...>', 'more folders of code, and files of any kind, whose change restarts')
    .option('--poll', 'look at the files each second: for network and container mounts that send no news')
    .action((_options: Options, command: Command) => run(runDev(context, command.optsWithGlobals())));

async function runDev(context: CommandContext, options: Options): Promise<number> {
  const cwd = options.workdir === undefined ? process.cwd() : changeDirectory(options.workdir);
  const print = printer(context, options);
  const system = nodeSystem({ log: createLineLogger(levelNamed(options.loglevel) ?? 'info', print('broker')) });
  await using opened = new CloseStack();
  const broker = opened.adopt(new DevBroker({ dataDir: options.data, system }));
  const { brokerPort: port } = options;
  const url = port === undefined ? options.broker : await broker.startOn(port);
  const pollEveryMs = options.poll === true ? pollMs : undefined;
  const watch = opened.adopt(await SourceWatch.open({ ...watched(options, cwd), pollMs: pollEveryMs, system }));
  const say = print('dev');
  const session = new Session({
    worker: { argv: workerWords(options, url), onLine: print('worker'), system },
    broker,
    isBrokerChosen: port !== undefined,
    watch,
    runsBeat: options.beat,
    cwd,
    say,
    onReady: (app, worker, runsBeat) => {
      if (options.quiet !== true) context.stdout.write(header({ app, worker, runsBeat, broker, watch, cwd }));
      if (url !== undefined) say(`Other programs reach this broker with CELERY_BROKER_URL=${url}`);
    },
  });
  opened.adopt(new DevSignals(session, say, context.env));
  const exitCode = await session.run();
  for (const { name, ready } of broker.waiting) say(`${ready} waiting in the queue ${name} end with the broker`);
  return exitCode;
}

const pollMs = 1000;

/** Writes lines of a speaker into the one log. */
function printer(context: CommandContext, options: Options): (speaker: Speaker) => (line: string) => void {
  const style = styleFor(context, options);
  const withDetails = options.loglevel === 'DEBUG';
  return (speaker) => (line) => {
    const shown = showLine(line, speaker, clockTime(Date.now()), style, withDetails);
    if (shown !== undefined) context.stdout.write(`${shown}\n`);
  };
}

function workerWords(options: Options, broker: string | undefined): string[] {
  const { app, concurrency, config, hostname, loglevel, pool, queues, resultBackend } = options;
  const given = { app, broker, config, 'result-backend': resultBackend, concurrency, pool, queues, hostname, loglevel };
  return [
    'worker',
    '--quiet',
    ...Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value])),
  ];
}

/** The folder, and that of an app elsewhere; what `--watch` names. */
function watched({ app, watch = [] }: Options, cwd: string): { folders: readonly string[]; always: readonly string[] } {
  const home = app !== undefined && /[/\\]/.test(app) ? [resolve(cwd, app, '..')] : [];
  return { folders: [...new Set([cwd, ...home])], always: watch.map((each) => resolve(cwd, each)) };
}

function beatSentence(entries: number, runsBeat: boolean): string {
  if (runsBeat) return `${entries} in the schedule`;
  return entries === 0 ? 'not needed: there is no schedule' : `off, with ${entries} in the schedule`;
}

function header(given: {
  readonly app: AppNews;
  readonly worker: ReadyNews;
  readonly runsBeat: boolean;
  readonly broker: DevBroker;
  readonly watch: SourceWatch;
  readonly cwd: string;
}): string {
  const { app, worker, runsBeat, broker, watch } = given;
  const rows = [
    ['app', app.path === undefined ? app.main : `${app.main}  (${app.path})`],
    ['broker', broker.sentence],
    [
      'worker',
      `${worker.nodeName}  (${worker.pool}, ${worker.concurrency} at a time; queues ${worker.queues.join(', ')})`,
    ],
    ['beat', beatSentence(app.entries, runsBeat)],
    ['tasks', app.tasks.join(', ') || 'none'],
    ['sources', watch.sentence],
  ];
  return [
    '',
    `celery-ts dev v${packageVersion()}`,
    ...rows.map(([name = '', value]) => `  ${name.padEnd(9)} ${value}`),
    '  Ctrl-C stops all.',
    '',
    '',
  ].join('\n');
}

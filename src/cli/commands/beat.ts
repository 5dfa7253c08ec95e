/**
 * `celery-ts beat`: parse, run beat until a signal comes, save and exit. `--list` shows what is coming instead.
 */
import { hostname } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { maskedUrl, parseBrokerUrls } from '../../amqp/index.ts';
import { connectionOptions } from '../../app/index.ts';
import { type ComingRuns, comingRuns, peekAtFile } from '../../beat/index.ts';
import { CloseStack } from '../../core/close-stack.ts';
import { packageVersion } from '../../core/package-version.ts';
import { type BeatCommandOptions, type PreparedBeat, prepareBeat } from '../beat.ts';
import { type CommandContext, type LoadedApp, loadCommandApp, say } from '../context.ts';
import { addDaemonOptions, Daemon, type DaemonOptions } from '../daemon.ts';
import { exitCodes } from '../exit-codes.ts';
import { nodeParts } from '../node-format.ts';
import type { DefineCommand } from '../program.ts';
import { loglevelOption } from './worker.ts';

interface Options extends BeatCommandOptions, DaemonOptions {
  readonly loglevel: string;
  readonly list?: boolean;
  readonly json?: boolean;
}

const listedRuns = 5;

export const beatCommand: DefineCommand = (context, run) =>
  addDaemonOptions(
    new Command('beat')
      .description('run beat: sends tasks on their schedules')
      .option('-s, --schedule <file>', 'the schedule file, celerybeat-schedule by default')
      .option('-S, --scheduler <name>', "'persistent', 'memory', or a class of yours: ./scheduler.ts:MyScheduler")
      .option('--max-interval <seconds>', 'longest sleep between two looks at the schedule', moreThanNothing)
      .option('--ha [name]', "one of several beats leads; they share this name, the app's by default")
      .option('--list', 'print each entry with its next five runs and exit')
      .option('-j, --json', 'with --list: as one JSON document')
      .addOption(loglevelOption()),
    '--detach',
  ).action((options: Options, command: Command) => run(runBeat(context, options, command)));

async function runBeat(context: CommandContext, options: Options, command: Command): Promise<number> {
  const isListing = options.list === true;
  const daemon = new Daemon('beat', command.optsWithGlobals<Options>(), nodeParts(`beat@${hostname()}`), context.env);
  if (daemon.leaves && !isListing) return daemon.leave();
  await using opened = new CloseStack();
  opened.adopt(daemon);
  const stop = new AbortController();
  opened.defer(onStopSignals(() => stop.abort()));
  const loaded = await loadCommandApp(context, command, {
    level: options.loglevel,
    setsUpLogging: true,
    ...(isListing ? {} : { daemon }),
  });
  opened.adopt(loaded.app);
  const beat = await prepareBeat(loaded, options, 'alone');
  if (isListing) return list(context, loaded, beat, options.json === true);
  const isQuiet = command.optsWithGlobals<{ quiet?: boolean }>().quiet === true;
  if (!isQuiet) context.stdout.write(banner(loaded, beat, options));
  context.starter?.configured();
  await beat.run(stop.signal);
  return exitCodes.done;
}

/** The first signal stops, the second ends at once. */
function onStopSignals(stop: () => void): () => void {
  const names = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
  let count = 0;
  const handle = (): void => {
    count += 1;
    if (count > 1) process.exit(exitCodes.failed);
    stop();
  };
  for (const name of names) process.on(name, handle);
  return () => {
    for (const name of names) process.off(name, handle);
  };
}

function banner({ app, system }: LoadedApp, beat: PreparedBeat, options: Options): string {
  const urls = parseBrokerUrls(connectionOptions(app, 'write', '').urls);
  const { maxIntervalSeconds, timeZone } = beat.host.settings;
  const rows: [string, string][] = [
    ['broker', urls.map(maskedUrl).join(', ')],
    ['scheduler', beat.scheduler],
    ...(options.ha === undefined ? [['db', beat.scheduleFile] as [string, string]] : []),
    ['timezone', timeZone],
    ['entries', String(beat.host.book.entries.size)],
    ['loglevel', options.loglevel],
    ['maxinterval', `${maxIntervalSeconds > 0 ? maxIntervalSeconds : 300} s`],
  ];
  return [
    `celery-ts beat v${packageVersion()} is starting.`,
    `LocalTime -> ${new Date(system.now()).toISOString().slice(0, 19).replace('T', ' ')} UTC`,
    'Configuration ->',
    ...rows.map(([name, value]) => `    . ${name} -> ${value}`),
    '',
  ].join('\n');
}

async function list(
  context: CommandContext,
  { system }: LoadedApp,
  beat: PreparedBeat,
  asJson: boolean,
): Promise<number> {
  const saved = await peekAtFile(beat.scheduleFile);
  const rows = comingRuns(beat.host, saved, system, listedRuns);
  if (asJson) {
    say(context, JSON.stringify(rows.map(toJson), undefined, 2));
    return exitCodes.done;
  }
  if (rows.length === 0) say(context, 'There is nothing to send: beatSchedule is empty.');
  const show = zonedTime(beat.host.settings.timeZone);
  for (const row of rows) {
    const runs = row.totalRunCount === 1 ? '1 run' : `${row.totalRunCount} runs`;
    const last = row.lastRunAt === undefined ? 'not run yet' : `last run ${show(row.lastRunAt)}, ${runs}`;
    say(context, `${row.name}  ${row.task}  ${row.schedule}  (${row.isPaused ? 'paused, ' : ''}${last})`);
    for (const next of row.next) say(context, `    ${show(next)}`);
  }
  return exitCodes.done;
}

function toJson({ lastRunAt, next, ...row }: ComingRuns): Record<string, unknown> {
  return {
    ...row,
    lastRunAt: lastRunAt === undefined ? null : new Date(lastRunAt).toISOString(),
    next: next.map((at) => new Date(at).toISOString()),
  };
}

function zonedTime(timeZone: string): (at: number) => string {
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    dateStyle: 'short',
    timeStyle: 'medium',
  });
  return (at) => `${format.format(at)} ${timeZone}`;
}

function moreThanNothing(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It should be a number of seconds.');
  return value;
}

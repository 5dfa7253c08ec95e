/**
 * `celery-ts worker`: parse, open a worker, wait for a signal, stop it. Its options become settings, so that children
 * of the pool see them too.
 */
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { CeleryError } from '../../core/errors.ts';
import { workerNodeName } from '../../core/node-names.ts';
import { packageVersion } from '../../core/package-version.ts';
import { type AutoscaleBounds, parseAutoscale, Worker } from '../../worker/index.ts';
import { banner } from '../banner.ts';
import { embedBeat } from '../beat.ts';
import { type CommandContext, type LoadedApp, loadCommandApp, say } from '../context.ts';
import { addDaemonOptions, Daemon, type DaemonOptions } from '../daemon.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { levelNames } from '../logger.ts';
import { nodeParts } from '../node-format.ts';
import type { DefineCommand } from '../program.ts';

interface Options extends DaemonOptions {
  readonly hostname?: string;
  readonly loglevel: string;
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
  readonly include?: readonly string[];
  readonly purge?: boolean;
  readonly discard?: boolean;
  readonly concurrency?: number;
  readonly pool?: string;
  readonly asyncSlots?: number;
  readonly prefetchMultiplier?: number;
  readonly timeLimit?: number;
  readonly softTimeLimit?: number;
  readonly maxTasksPerChild?: number;
  readonly maxMemoryPerChild?: number;
  readonly autoscale?: AutoscaleBounds;
  readonly statedb?: string;
  readonly taskEvents?: boolean;
  readonly events?: boolean;
  readonly withoutGossip?: boolean;
  readonly withoutMingle?: boolean;
  readonly withoutHeartbeat?: boolean;
  readonly heartbeatInterval?: number;
  readonly beat?: boolean;
  readonly schedule?: string;
  readonly scheduleFilename?: string;
  readonly scheduler?: string;
}

export const workerCommand: DefineCommand = (context, run) =>
  addDaemonOptions(
    new Command('worker')
      .description('run a worker: takes tasks from the queues and runs them')
      .option('-n, --hostname <name>', 'node name, celery@<host> by default; %h host, %n first part, %d domain')
      .addOption(loglevelOption())
      .option('-Q, --queues <names>', 'queues to consume, comma separated; also ones that are not configured', list)
      .option('-X, --exclude-queues <names>', 'configured queues not to consume, comma separated', list)
      .option('-I, --include <modules>', 'more modules to import, comma separated', list)
      .option('--purge', 'empty the queues first, without asking')
      .addOption(new Option('--discard', 'the same').hideHelp())
      .option(
        '-c, --concurrency <count>',
        'tasks at a time: children, threads or slots; the number of processors by default',
        atLeastOne,
      )
      .addOption(
        new Option('-P, --pool <pool>', 'what runs the tasks').choices([
          'prefork',
          'processes',
          'threads',
          'async',
          'gevent',
          'eventlet',
          'solo',
        ]),
      )
      .option('--async-slots <count>', 'asynchronous tasks at a time in each child or thread', atLeastOne)
      .option('--prefetch-multiplier <count>', 'unacknowledged messages for each slot; 0: no limit', whole)
      .option('--time-limit <seconds>', 'tasks that run longer are ended', seconds)
      .option('--soft-time-limit <seconds>', 'tasks that run longer have their signal aborted', seconds)
      .option('--max-tasks-per-child <count>', 'replace a child after this many tasks', atLeastOne)
      .option('--max-memory-per-child <KiB>', 'replace a child that holds more, between tasks', atLeastOne)
      .option('--autoscale <max,min>', 'as many children as there are tasks, between these bounds', bounds)
      .option('-S, --statedb <file>', 'keep revoked ids and the logical clock in this file over a restart')
      .option('-E, --task-events', 'send task events, for monitors')
      .addOption(new Option('--events', 'the same').hideHelp())
      .option('--without-gossip', 'do not listen to other workers')
      .option('--without-mingle', 'do not ask other workers at the start what they know')
      .option('--without-heartbeat', 'send no heartbeats')
      .option('--heartbeat-interval <seconds>', 'between two heartbeats; 2 by default', atLeastOne)
      .option('-B, --beat', 'run beat too, in this process')
      .option('-s, --schedule <file>', 'with --beat: the schedule file')
      .addOption(new Option('--schedule-filename <file>', 'the same').hideHelp())
      .option('--scheduler <name>', "with --beat: 'persistent', 'memory', or a class of yours")
      .addOption(
        new Option('-O, --optimization <kind>', "accepted for Celery's sake; tasks go to free children only").choices([
          'default',
          'fair',
        ]),
      ),
    '-D, --detach',
  ).action((options: Options, command: Command) => run(runWorker(context, options, command)));

async function runWorker(context: CommandContext, options: Options, command: Command): Promise<number> {
  const nodeName = workerNodeName(options.hostname, hostname());
  await using daemon = new Daemon('worker', command.optsWithGlobals<Options>(), nodeParts(nodeName), context.env);
  if (daemon.leaves) return daemon.leave();
  const loaded = await loadCommandApp(context, command, {
    flags: settingsOf(options),
    level: options.loglevel,
    daemon,
    onLoaded: async (app, location) => {
      await context.dev?.loaded(app, location);
      await app.signals.celerydInit.send(nodeName, { instance: command, conf: app.conf, options: { ...options } });
    },
    setsUpLogging: true,
  });
  const { app, flags, location, system } = loaded;
  const isInfo = system.log.isLevelEnabled('info');
  context.starter?.configured();
  const stop = new AbortController();
  const signals = new StopSignals((name, count) => {
    say(context, `worker: ${count > 1 || name === 'SIGQUIT' ? 'Cold' : 'Warm'} shutdown (${name})`);
    stop.abort(new Error(name));
  });
  let beat: { close(): Promise<void> } | undefined;
  let worker: Worker | undefined;
  process.exitCode = exitCodes.failed; // until it is known that all went well
  try {
    if (options.beat === true || context.dev?.runsBeat === true) {
      beat = await embedBeat(loaded, { ...options, schedule: options.schedule ?? options.scheduleFilename });
    }
    worker = await Worker.open(
      app,
      {
        nodeName,
        location,
        flags,
        selection: { only: options.queues, except: options.excludeQueues },
        purge: options.purge ?? options.discard,
        autoscale: options.autoscale,
        concurrency: app.config.workerConcurrency ?? context.dev?.concurrency,
        features: {
          gossip: options.withoutGossip !== true,
          mingle: options.withoutMingle !== true && context.dev?.isAlone !== true,
          heartbeat: options.withoutHeartbeat !== true,
          heartbeatInterval: options.heartbeatInterval,
        },
        onShutdownAsked: (reason) => {
          say(context, `worker: Warm shutdown (${reason})`);
          signals.stop();
        },
        onConfigured: (info) => {
          context.dev?.ready(info);
          if (command.optsWithGlobals<{ quiet?: boolean }>().quiet !== true) {
            context.stdout.write(banner(app, info, packageVersion(), isInfo));
          }
        },
      },
      stop.signal,
    );
    say(context, `${nodeName} ready.`);
    context.starter?.up();
    const lost = await Promise.race([signals.first.then(() => undefined), worker.givenUp]);
    if (lost !== undefined) say(context, 'worker: Warm shutdown (the connection to the broker is given up)');
    const beatClosed = beat?.close(); // what beat is sending and what runs here end beside each other
    const { how, exitCode } = await signals.stopWorker(worker, loaded, lost);
    await within(worker.leftMs, system, beatClosed);
    system.log.debug({ how }, 'The worker has stopped');
    if (lost !== undefined) throw lost;
    return exitCode;
  } catch (error) {
    const isAsked = stop.signal.aborted && error === stop.signal.reason;
    if (isAsked) process.exitCode = exitCodes.done;
    else if (error instanceof CeleryError) process.exitCode = exitCodeOf(error);
    if (isAsked) return exitCodes.done;
    throw error;
  } finally {
    const leftMs = (): number => worker?.leftMs ?? app.config.shutdownTimeout * 1000;
    await within(leftMs(), system, beat?.close());
    signals.close();
    await closeInTime(app, leftMs());
  }
}

/** A peer that does not answer a goodbye keeps no process: the exit code is set by then. */
async function closeInTime(app: LoadedApp['app'], limitMs: number): Promise<void> {
  if (await within(limitMs, app.system, app.close())) return;
  setTimeout(() => process.exit(), lastWordsMs).unref();
}

/** True when `work` was done in time; it is not waited for beyond that. */
async function within(limitMs: number, system: LoadedApp['system'], work: Promise<void> | undefined): Promise<boolean> {
  if (work === undefined) return true;
  const done = new AbortController();
  const late = system.sleep(limitMs, done.signal).then(
    () => false,
    () => true,
  );
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    done.abort();
  }
}

/** For what is still to be written to a pipe. */
const lastWordsMs = 100;

/** SIGTERM and SIGINT stop warmly, a second one or SIGQUIT coldly. */
class StopSignals {
  readonly #onSignal: (name: NodeJS.Signals, count: number) => void;
  readonly first: Promise<void>;
  #resolveFirst: () => void = () => {};
  #cold: () => void = () => {};
  readonly #isCold: Promise<'cold'>;
  #count = 0;
  #isAskedColdly = false;
  /** One more signal after the one that asked for a cold stop: no soft wait. */
  readonly #hurry = new AbortController();
  /** The newest signal; remote control asks as a TERM would. */
  #last = 'SIGTERM';
  readonly #handler = (name: NodeJS.Signals): void => {
    this.#count += 1;
    this.#last = name;
    this.#onSignal(name, this.#count);
    this.#resolveFirst();
    const isCold = this.#count > 1 || name === 'SIGQUIT';
    if (isCold && this.#isAskedColdly) this.#hurry.abort();
    if (isCold) this.#cold();
    this.#isAskedColdly ||= isCold;
  };

  constructor(onSignal: (name: NodeJS.Signals, count: number) => void) {
    this.#onSignal = onSignal;
    this.first = new Promise((resolve) => {
      this.#resolveFirst = resolve;
    });
    this.#isCold = new Promise((resolve) => {
      this.#cold = () => resolve('cold');
    });
    for (const name of stopSignals) process.on(name, this.#handler);
  }

  /** The same as a first signal: somebody asked from afar. */
  stop(): void {
    this.#count = Math.max(this.#count, 1);
    this.#resolveFirst();
  }

  /** `lost`: why the connection was given up, when nobody asked for the stop. */
  async stopWorker(
    worker: Worker,
    { system }: LoadedApp,
    lost?: CeleryError,
  ): Promise<{ how: 'warm' | 'cold'; exitCode: number }> {
    process.exitCode = lost === undefined ? exitCodes.failed : exitCodeOf(lost); // until it is known that all went well
    if (this.#last !== 'SIGQUIT') {
      await worker.tellShuttingDown(this.#last, 'Warm', lost === undefined ? exitCodes.done : exitCodeOf(lost));
    }
    if (this.#last !== 'SIGQUIT') {
      const warm = worker.stop().then(() => 'warm' as const);
      if ((await Promise.race([warm, this.#isCold])) === 'warm') {
        return { how: 'warm', exitCode: worker.isFlushed ? exitCodes.done : exitCodes.failed };
      }
    }
    await worker.tellShuttingDown(this.#last, 'Cold', exitCodes.failed);
    system.log.warn('Cold shutdown: running tasks are ended');
    await worker.terminate(this.#hurry.signal);
    return { how: 'cold', exitCode: exitCodes.failed };
  }

  close(): void {
    for (const name of stopSignals) process.off(name, this.#handler);
  }
}

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;

/** Options as settings: the worker and its children read them there. */
function settingsOf(options: Options): Record<string, unknown> {
  const given = {
    workerConcurrency: options.concurrency,
    workerPool: options.pool,
    workerAsyncSlots: options.asyncSlots,
    workerPrefetchMultiplier: options.prefetchMultiplier,
    taskTimeLimit: options.timeLimit,
    taskSoftTimeLimit: options.softTimeLimit,
    workerMaxTasksPerChild: options.maxTasksPerChild,
    workerMaxMemoryPerChild: options.maxMemoryPerChild,
    workerStateDb: options.statedb,
    workerSendTaskEvents: options.taskEvents ?? options.events,
    include: options.include,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

export function loglevelOption(): Option {
  return new Option('-l, --loglevel <level>', 'how much is logged')
    .choices(levelNames)
    .default('WARNING')
    .argParser((value) => {
      const level = value.toUpperCase();
      if (!levelNames.includes(level)) throw new InvalidArgumentError(`It should be one of ${levelNames.join(', ')}.`);
      return level;
    });
}

export function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('It should be a whole number.');
  return value;
}

function bounds(text: string): AutoscaleBounds {
  try {
    return parseAutoscale(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function atLeastOne(text: string): number {
  const value = whole(text);
  if (value < 1) throw new InvalidArgumentError('It should be at least 1.');
  return value;
}

export function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('It should be a number of seconds.');
  return value;
}

/**
 * `celery-ts events`: a live monitor of the cluster (the default), each event as a line (`--dump`), or pictures of the
 * cluster for a class of the user's (`--camera`).
 */
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { maskedUrl, parseBrokerUrls } from '../../amqp/index.ts';
import { connectionOptions } from '../../app/index.ts';
import { loadExport } from '../../app/load-module.ts';
import { CloseStack } from '../../core/close-stack.ts';
import { ImproperlyConfigured } from '../../core/errors.ts';
import { matchesGlob } from '../../core/globs.ts';
import { packageVersion } from '../../core/package-version.ts';
import { type Camera, type ClusterState, type ReceivedEvent, Snapshots } from '../../events/index.ts';
import { perSecond } from '../../worker/index.ts';
import { bigintAsText } from '../answers.ts';
import { type CommandContext, type GlobalOptions, type LoadedApp, loadCommandApp, say } from '../context.ts';
import { addDaemonOptions, Daemon, type DaemonOptions } from '../daemon.ts';
import { EventLines } from '../event-line.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { nodeParts } from '../node-format.ts';
import type { DefineCommand } from '../program.ts';
import { Monitor } from '../screen/monitor.ts';
import { styleFor } from '../style.ts';
import { loglevelOption } from './worker.ts';

interface Options extends GlobalOptions, Omit<DaemonOptions, 'workdir'> {
  readonly dump?: boolean;
  readonly camera?: string;
  readonly frequency?: number;
  readonly freq?: number;
  readonly maxrate?: number;
  readonly pattern?: string;
  readonly timeout?: number;
  readonly json?: boolean;
  readonly loglevel: string;
}

export const eventsCommand: DefineCommand = (context, run) =>
  addDaemonOptions(
    new Command('events')
      .description('watch what workers announce: a live monitor, or lines, or pictures for a class of yours')
      .option('-d, --dump', 'print each event as a line')
      .option('-c, --camera <module:Class>', 'hand the state of the cluster to this class again and again')
      .option('-F, --frequency <seconds>', 'with --camera: between two pictures; 1 by default', positive)
      .addOption(new Option('--freq <seconds>', 'the same').argParser(positive).hideHelp())
      .option('-r, --maxrate <rate>', 'with --camera: pictures at most, 10/m say', rate)
      .option('-p, --pattern <glob>', "only of nodes whose name matches: 'worker*@*'")
      .option('-t, --timeout <seconds>', 'end after this long', positive)
      .option('-j, --json', 'with --dump: one JSON document a line')
      .addOption(loglevelOption()),
    '--detach',
  ).action((_options: object, command: Command) => run(events(context, command)));

async function events(context: CommandContext, command: Command): Promise<number> {
  const options = command.optsWithGlobals<Options>();
  const isMonitor = options.dump !== true && options.camera === undefined;
  if (isMonitor && context.terminal === undefined) {
    throw new CommandError('The monitor needs a terminal. --dump prints events as lines.', exitCodes.usage);
  }
  if (options.detach === true && options.camera === undefined) {
    throw new CommandError('--detach is for --camera.', exitCodes.usage);
  }
  const daemon = new Daemon('events', options, nodeParts(`events@${hostname()}`), context.env);
  if (daemon.leaves) return daemon.leave();
  await using opened = new CloseStack();
  const stop = new AbortController();
  opened.defer(onSignals(() => stop.abort()));
  // A log on the monitor's own screen would spoil it.
  const level = isMonitor && context.stderr.isTTY === true ? 'CRITICAL' : options.loglevel;
  const loaded = await loadCommandApp(context, command, {
    optional: true,
    level,
    ...(options.camera === undefined ? {} : { daemon: opened.adopt(daemon), setsUpLogging: true }),
  });
  opened.adopt(loaded.app);
  const watch = { context, loaded, options, opened, stop: () => stop.abort() };
  if (isMonitor) await monitor(watch);
  else if (options.camera === undefined) await dump(watch);
  else await takePictures(watch, options.camera);
  if (options.timeout !== undefined) opened.defer(loaded.system.after(options.timeout * 1000, () => stop.abort()));
  await new Promise<void>((resolve) => {
    if (stop.signal.aborted) resolve();
    stop.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return exitCodes.done;
}

interface Watch {
  readonly context: CommandContext;
  readonly loaded: LoadedApp;
  readonly options: Options;
  readonly opened: CloseStack;
  readonly stop: () => void;
}

/** Opens the queue of events and hands on those that were asked for. */
async function receive({ loaded, opened, options }: Watch, take: (event: ReceivedEvent) => void): Promise<void> {
  const { pattern } = options;
  const handle = (event: ReceivedEvent): void => {
    if (pattern === undefined || matchesGlob(pattern, event.hostname)) take(event);
  };
  opened.adopt(await loaded.app.events.receiver({ handlers: { '*': handle } }));
}

async function dump(watch: Watch): Promise<void> {
  const { context, loaded, options } = watch;
  if (options.json === true) {
    await receive(watch, (event) => say(context, JSON.stringify(event, bigintAsText)));
  } else {
    const lines = new EventLines();
    if (options.quiet !== true) say(context, '-> evdump: starting capture...');
    await receive(watch, (event) => say(context, lines.line(event)));
  }
  const connection = await loaded.app.connections.consuming();
  connection.on('lost', () => context.stderr.write('-> Connection lost, attempting reconnect\n'));
}

async function takePictures(watch: Watch, name: string): Promise<void> {
  const { context, loaded, opened, options } = watch;
  const { app, system } = loaded;
  const everySeconds = options.frequency ?? options.freq ?? 1;
  const state = app.events.state();
  const camera = await cameraNamed(name, state, system.cwd());
  const snapshots = opened.adopt(
    new Snapshots({ camera, state, system, everySeconds, mostPerSecond: options.maxrate }),
  );
  await receive(watch, (event) => state.event(event));
  if (options.quiet !== true) say(context, `-> evcam: Taking snapshots with ${name} (every ${everySeconds} secs.)`);
  snapshots.start();
  context.starter?.configured();
  context.starter?.up();
}

/** @throws {ImproperlyConfigured} when it is not found, or its instances have no `onShutter`. */
async function cameraNamed(name: string, state: ClusterState, cwd: string): Promise<Camera> {
  const found = await loadExport(name, { cwd });
  const camera: unknown = typeof found === 'function' ? Reflect.construct(found, [state]) : found;
  if (!isCamera(camera)) {
    throw new ImproperlyConfigured(`The camera '${name}' is no class whose instances have a method onShutter(state).`);
  }
  return camera;
}

function isCamera(value: unknown): value is Camera {
  return typeof value === 'object' && value !== null && 'onShutter' in value && typeof value.onShutter === 'function';
}

async function monitor(watch: Watch): Promise<void> {
  const { context, loaded, opened, options, stop } = watch;
  const { app } = loaded;
  const { terminal } = context;
  if (terminal === undefined) return;
  const state = app.events.state();
  const urls = parseBrokerUrls(connectionOptions(app, 'read', '').urls).map(maskedUrl);
  const connection = await app.connections.consuming(); // before the terminal is taken over: its errors are lines
  const screen = opened.adopt(
    new Monitor({
      app,
      state,
      terminal,
      title: `celery-ts events ${packageVersion()} · ${urls.join(', ')}`,
      style: styleFor(context, options),
      timeout: 1,
      onQuit: stop,
    }),
  );
  connection.on('lost', () => screen.notice('The connection to the broker is lost; trying again.'));
  connection.on('open', ({ isReconnect }) => {
    if (isReconnect) screen.notice('Connected to the broker again.');
  });
  await receive(watch, (event) => {
    state.event(event);
    screen.changed();
  });
}

/** The first signal stops, the second ends at once. */
function onSignals(stop: () => void): () => void {
  const names = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'] as const;
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

function positive(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It should be a number of seconds.');
  return value;
}

function rate(text: string): number | undefined {
  try {
    return perSecond(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

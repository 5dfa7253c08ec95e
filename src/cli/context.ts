/**
 * What a command works with: the streams, the world, the global options, and the app they name.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Celery } from '../app/index.ts';
import { type AppLocation, findApp } from '../app/loader.ts';
import { nodeSystem, type System } from '../core/system.ts';
import type { Daemon } from './daemon.ts';
import type { Starter } from './detach.ts';
import type { DevLink } from './dev/link.ts';
import { CommandError, exitCodes } from './exit-codes.ts';
import { announceLogging, createLogger, levelNamed } from './logger.ts';
import { reportRemarks } from './remarks.ts';
import type { Terminal } from './screen/terminal.ts';

/** Options that stand before or after any command. */
export interface GlobalOptions {
  readonly app?: string;
  readonly broker?: string;
  readonly resultBackend?: string;
  readonly config?: string;
  readonly workdir?: string;
  readonly color?: boolean;
  readonly quiet?: boolean;
  readonly loglevel?: string;
}

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** One call of the program. */
export interface CommandContext {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Where somebody sits who presses keys; undefined when output or input is no terminal. */
  readonly terminal?: Terminal | undefined;
  /** Who started this program in the background, if somebody did. */
  readonly starter?: Starter | undefined;
  /** `celery-ts dev`, when it runs this program. */
  readonly dev?: DevLink | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The app a command was pointed at, with the settings of the command line over its own. */
export interface LoadedApp {
  readonly app: Celery;
  /** Where children find it; undefined when no module was involved. */
  readonly location: AppLocation | undefined;
  readonly system: System;
  /** Settings of the command line, for children. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** One line on stdout. */
export function say(context: CommandContext, text: string): void {
  context.stdout.write(`${text}\n`);
}

/**
 * Loads the app that `-A` names (or that is found without), with a logger of the asked level, and puts the settings
 * of the command line over its own.
 * @throws {ImproperlyConfigured} when there is none; with `optional` a bare app takes its place if `-A` was not given.
 */
export async function loadCommandApp(
  context: CommandContext,
  command: Command,
  given: {
    readonly flags?: Readonly<Record<string, unknown>>;
    readonly optional?: boolean;
    readonly level?: string;
    /** The app is loaded, before the signals of logging: a worker sends its first one. */
    readonly onLoaded?: (app: Celery, location: AppLocation | undefined) => Promise<void>;
    /** A program that runs on: the signals of logging are sent. */
    readonly setsUpLogging?: boolean;
    /** What it is as a daemon: user, log file and pid file are put in order on the way. */
    readonly daemon?: Daemon;
  } = {},
): Promise<LoadedApp> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const cwd = options.workdir === undefined ? process.cwd() : changeDirectory(options.workdir);
  given.daemon?.begin();
  const levelName = given.level ?? options.loglevel ?? 'ERROR';
  const level = levelNamed(levelName);
  if (level === undefined) throw new CommandError(`No log level is called '${levelName}'.`, exitCodes.usage);
  const isTerminal = context.stderr.isTTY === true;
  const color = isTerminal && options.color !== false && !context.env.NO_COLOR;
  let system = nodeSystem({ log: await createLogger({ level, isTerminal, color, file: given.daemon?.log }) });
  const found = await find(options.app, cwd, context.env, given.optional === true);
  const { app, location } = found;
  app.useSystem(system);
  if (options.config !== undefined) app.configFromObject(options.config);
  const flags = {
    ...given.flags,
    ...(options.broker === undefined ? {} : { brokerUrl: options.broker }),
    ...(options.resultBackend === undefined ? {} : { resultBackend: options.resultBackend }),
  };
  app.settings.setFlags(flags);
  await app.signals.userPreloadOptions.send(command.name(), { app, options: { ...options } });
  await app.loaded;
  await given.daemon?.enter(app.config, system);
  await given.onLoaded?.(app, location);
  if (given.setsUpLogging === true) {
    const colorize = color && app.config.workerLogColor !== false;
    const log =
      colorize === color
        ? system.log
        : await createLogger({ level, isTerminal, color: colorize, file: given.daemon?.log });
    const logging = { loglevel: levelName, colorize, logfile: given.daemon?.log.path };
    system = nodeSystem({ log: await announceLogging(app, log, logging) });
    app.useSystem(system);
    reportRemarks(app, system.log);
  }
  return { app, location, system, flags };
}

async function find(
  spec: string | undefined,
  cwd: string,
  env: CommandContext['env'],
  isOptional: boolean,
): Promise<{ readonly app: Celery; readonly location: AppLocation | undefined }> {
  try {
    return await findApp(spec, { cwd, env });
  } catch (error) {
    if (isOptional && spec === undefined && !env.CELERY_APP) return { app: new Celery('celery'), location: undefined };
    throw error;
  }
}

/** @throws {CommandError} 78 */
export function changeDirectory(workdir: string): string {
  const path = resolve(workdir);
  try {
    process.chdir(path);
  } catch (error) {
    throw new CommandError(
      `Cannot change to the folder '${workdir}': ${(error as Error).message}`,
      exitCodes.configuration,
    );
  }
  return path;
}

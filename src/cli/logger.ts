/**
 * The log of a program: JSON lines on stderr, or people's lines when stderr is a terminal and pino-pretty is installed.
 */
import { type Bindings, type ChildLoggerOptions, type DestinationStream, type Level, type Logger, pino } from 'pino';
import type { Celery } from '../app/index.ts';
import { logField, logText } from '../core/log-text.ts';
import { isSecretKey, mask, redact, redactText } from '../core/redact.ts';
import type { LogFile } from './log-file.ts';

/** Celery's names of the levels, and pino's. */
const levels: Readonly<Record<string, Level>> = {
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  warn: 'warn',
  error: 'error',
  critical: 'fatal',
  fatal: 'fatal',
};

/** The names `--loglevel` takes. */
export const levelNames = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL', 'FATAL'];

/** pino's name of a level in any case; undefined when there is no such level. */
export function levelNamed(name: string): Level | undefined {
  return levels[name.toLowerCase()];
}

export interface LogOptions {
  readonly level: Level;
  readonly isTerminal: boolean;
  readonly color: boolean;
  /** Where lines go instead, from the moment it is open. */
  readonly file?: LogFile | undefined;
}

export async function createLogger(options: LogOptions): Promise<Logger> {
  const { file, level } = options;
  const pretty =
    options.isTerminal && file?.path === undefined
      ? await import('pino-pretty').then(
          (module) => module.default,
          () => undefined,
        )
      : undefined;
  if (pretty === undefined) return makeLogger(level, orFile(pino.destination({ dest: 2, sync: true }), file));
  const stream = pretty({
    colorize: options.color,
    destination: 2,
    sync: true,
    singleLine: true,
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    ignore: 'pid,hostname',
  });
  return makeLogger(level, orFile(stream, file));
}

/** JSON lines, given to `write` one by one. */
export function createLineLogger(level: Level, write: (line: string) => void): Logger {
  return makeLogger(level, { write: (line) => write(line.trimEnd()) });
}

interface FieldName {
  /** Fit for a log. */
  readonly text: string;
  readonly isSecret: boolean;
}

/**
 * No secret gets into a line: fields by their names, passwords in URLs and the like in every text, errors and causes too.
 * And no text writes lines of its own, draws on the terminal or has no end: `core/log-text.ts`.
 */
function makeLogger(level: Level, stream: DestinationStream): Logger {
  const known = new Map<string, FieldName>();
  const nameOf = (key: string): FieldName => {
    const name = known.get(key) ?? { text: logText(key), isSecret: isSecretKey(key) };
    if (known.size < 1000 && key.length < 100) known.set(key, name);
    return name;
  };
  const shown = (key: string, isSecret: boolean, value: unknown): unknown => {
    if (value instanceof Error) return logField(key, redact({ ...pino.stdSerializers.err(value) }));
    if (isSecret) return value === undefined || value === null || typeof value === 'boolean' ? value : mask;
    if (typeof value === 'string') return logField(key, redactText(value));
    return typeof value === 'object' && value !== null ? logField(key, redact(value)) : value;
  };
  const allShown = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(fields).map(([key, value]) => {
        const { isSecret, text } = nameOf(key);
        return [text, shown(key, isSecret, value)];
      }),
    );
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { log: allShown },
      serializers: {
        err: (error: unknown) => error, // shown as every field is
        // The sentence with its values in it; that of an error logged alone is the error's own.
        msg: (text: unknown) => (typeof text === 'string' ? logText(redactText(text)) : text),
      },
    },
    stream,
  );
  // What a child logger is bound to passes no formatter.
  const { child, setBindings } = logger;
  return Object.assign(logger, {
    child(this: Logger, bindings: Bindings, options?: ChildLoggerOptions) {
      return Reflect.apply(child, this, [allShown(bindings), options]);
    },
    setBindings(this: Logger, bindings: Bindings) {
      Reflect.apply(setBindings, this, [allShown(bindings)]);
    },
  });
}

function orFile(stream: DestinationStream, file: LogFile | undefined): DestinationStream {
  if (file === undefined) return stream;
  return { write: (line) => void (file.write(line) || stream.write(line)) };
}

/** Sends the signals of logging; gives the logger that a receiver of `setupLogging` has put in place of ours, or ours. */
export async function announceLogging(
  app: Celery,
  ours: Logger,
  given: { readonly loglevel: string; readonly colorize: boolean; readonly logfile?: string | undefined },
): Promise<Logger> {
  const { afterSetupLogger, afterSetupTaskLogger, setupLogging } = app.signals;
  const news = { logfile: undefined, format: undefined, ...given };
  let logger = ours;
  const use = (other: Logger): void => {
    logger = other;
  };
  await setupLogging.send(undefined, { ...news, use });
  if (setupLogging.hasReceivers) return logger; // as in Celery: who sets logging up does all of it
  await afterSetupLogger.send(undefined, { ...news, logger });
  await afterSetupTaskLogger.send(undefined, { ...news, logger: logger.child({ name: 'celery.task' }) });
  return logger;
}

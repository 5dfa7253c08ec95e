/**
 * The log of a program: JSON lines on stderr, or people's lines when stderr is a terminal and pino-pretty is installed.
 */
import { type DestinationStream, type Level, type Logger, type LoggerOptions, pino } from 'pino';
import type { Celery } from '../app/index.ts';
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
  const settings = settingsFor(options.level);
  const { file } = options;
  const pretty =
    options.isTerminal && file?.path === undefined
      ? await import('pino-pretty').then(
          (module) => module.default,
          () => undefined,
        )
      : undefined;
  if (pretty === undefined) return pino(settings, orFile(pino.destination({ dest: 2, sync: true }), file));
  const stream = pretty({
    colorize: options.color,
    destination: 2,
    sync: true,
    singleLine: true,
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    ignore: 'pid,hostname',
  });
  return pino(settings, orFile(stream, file));
}

/** JSON lines, given to `write` one by one. */
export function createLineLogger(level: Level, write: (line: string) => void): Logger {
  return pino(settingsFor(level), { write: (line) => write(line.trimEnd()) });
}

/** No secret gets into a line: fields by their names, passwords in URLs and the like in every text, errors and causes too. */
function settingsFor(level: Level): LoggerOptions {
  const isSecret = new Map<string, boolean>();
  const hasSecretName = (key: string): boolean => {
    let answer = isSecret.get(key);
    if (answer === undefined) {
      answer = isSecretKey(key);
      if (isSecret.size < 1000) isSecret.set(key, answer);
    }
    return answer;
  };
  const shown = (key: string, value: unknown): unknown => {
    if (value instanceof Error) return value; // the serializer's
    if (hasSecretName(key)) return value === undefined || value === null || typeof value === 'boolean' ? value : mask;
    if (typeof value === 'string') return redactText(value);
    return typeof value === 'object' && value !== null ? redact(value) : value;
  };
  return {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      log: (fields) => Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, shown(key, value)])),
    },
    hooks: {
      logMethod(given, method) {
        const texts = given.map((one) => (typeof one === 'string' ? redactText(one) : one));
        method.apply(this, texts as Parameters<typeof method>);
      },
    },
    serializers: {
      err: (error: unknown) => (error instanceof Error ? redact({ ...pino.stdSerializers.err(error) }) : redact(error)),
    },
  };
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

/**
 * What `inspect`, `control` and `status` share: whom to ask, how long, and what is said of the answers.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { maskedUrl, parseBrokerUrls } from '../amqp/index.ts';
import { type Celery, connectionOptions } from '../app/index.ts';
import type { NodeReply } from '../control/index.ts';
import { answerLines, headline } from './answers.ts';
import { type CommandContext, type GlobalOptions, say } from './context.ts';
import { CommandError, exitCodes } from './exit-codes.ts';
import { printableLine, styleFor } from './style.ts';

export interface RemoteOptions extends GlobalOptions {
  /** Seconds. */
  readonly timeout?: number;
  readonly destination?: readonly string[];
  readonly pattern?: string;
  readonly json?: boolean;
}

export interface Question {
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Seconds, where the command line says none. */
  readonly defaultTimeout: number;
  /** Shown below the name of the node; otherwise only whether it did. */
  readonly showsAnswers: boolean;
  /** What `--json` prints when nobody answered. */
  readonly empty: string;
}

export const defaultTimeoutSeconds = 1;

/** `-t`, `-d`, `-p` and `-j`. */
export function addRemoteOptions(command: Command): Command {
  return command
    .option('-t, --timeout <seconds>', 'how long to wait for answers; 1 by default', waitingTime)
    .option('-d, --destination <nodes>', 'ask only these workers: comma-separated node names', nodes)
    .option('-p, --pattern <glob>', "ask only workers whose node name matches: 'worker*@*'")
    .option('-j, --json', 'one JSON document instead of text');
}

/**
 * Asks workers and prints each answer as it comes (with `--json` nothing: the caller prints all of them).
 * @throws {CommandError} 69 when nobody answered
 */
export async function askWorkers(
  context: CommandContext,
  app: Celery,
  question: Question,
  options: RemoteOptions,
): Promise<readonly NodeReply[]> {
  const { destination, json = false, pattern, timeout = question.defaultTimeout } = options;
  const style = styleFor(context, options);
  const print = ({ node, value }: NodeReply): void => {
    say(context, headline(node, value, style, options.quiet === true));
    if (question.showsAnswers) for (const line of answerLines(value)) say(context, line);
  };
  const replies = await app.remote.mailbox.ask(question.method, question.args, {
    timeout,
    ...(destination === undefined ? {} : { destination }),
    ...(pattern === undefined ? {} : { pattern }),
    ...(json ? {} : { callback: print }),
  });
  if (replies.length === 0) {
    if (json) say(context, question.empty);
    throw new CommandError(nobody(app, timeout, options), exitCodes.unavailable);
  }
  const silent = (destination ?? []).filter((node) => !replies.some((reply) => reply.node === node));
  if (silent.length > 0) context.stderr.write(`No answer from ${silent.map(printableLine).join(', ')}.\n`);
  return replies;
}

/** `No nodes replied within time constraint (1 s): …`, Celery's words and what was asked. */
function nobody(app: Celery, timeout: number, { destination, pattern }: RemoteOptions): string {
  const [broker] = parseBrokerUrls(connectionOptions(app, 'read', '').urls).map(maskedUrl);
  const whom =
    destination !== undefined
      ? destination.join(', ')
      : pattern === undefined
        ? 'a worker'
        : `a worker named ${pattern}`;
  return printableLine(`No nodes replied within time constraint (${timeout} s). Is ${whom} running on ${broker}?`);
}

function nodes(text: string): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) throw new InvalidArgumentError('It should name at least one node: worker1@host.');
  return names;
}

/** The longest wait that a timer of the runtime can hold. */
const longestWaitSeconds = 2_147_483;

function waitingTime(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value <= 0 || value > longestWaitSeconds) {
    throw new InvalidArgumentError('It should be a number of seconds, more than 0.');
  }
  return value;
}

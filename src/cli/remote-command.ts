/**
 * `celery-ts inspect` and `celery-ts control`: a command of the table (or one of the user's own) by name, its arguments
 * from the words that follow, sent to workers, their answers printed.
 */
import { Command } from 'commander';
import type { Celery } from '../app/index.ts';
import { argumentsFromWords, type ControlCommand, commands, isRefusal, type NodeReply } from '../control/index.ts';
import { ArgumentsInvalid } from '../core/errors.ts';
import { nearestFew } from '../core/nearest.ts';
import { bigintAsText, nodeCount } from './answers.ts';
import { type CommandContext, loadCommandApp, say } from './context.ts';
import { CommandError, exitCodes } from './exit-codes.ts';
import type { DefineCommand } from './program.ts';
import { addRemoteOptions, askWorkers, defaultTimeoutSeconds, type Question, type RemoteOptions } from './remote.ts';

type Kind = ControlCommand['kind'];
type Known = ReadonlyMap<string, ControlCommand>;

interface Options extends RemoteOptions {
  readonly list?: boolean;
}

/** The command itself; `inspect.ts` and `control.ts` each are one. */
export function remoteCommand(kind: Kind, description: string, ...[context, run]: Parameters<DefineCommand>): Command {
  const command = new Command(kind)
    .description(description)
    .argument('[command]', `what to ${kind === 'inspect' ? 'ask' : 'tell'}; --list shows all`)
    .argument('[words...]', 'the arguments of the command')
    .option('--list', 'list the commands with their arguments and exit');
  return addRemoteOptions(command).action(
    (name: string | undefined, words: string[], _options: object, self: Command) =>
      run(runRemote(context, kind, name, words, self)),
  );
}

async function runRemote(
  context: CommandContext,
  kind: Kind,
  name: string | undefined,
  words: readonly string[],
  command: Command,
): Promise<number> {
  const options = command.optsWithGlobals<Options>();
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const known = commandsOf(kind, app);
    if (options.list === true) return list(context, kind, known, options.json === true);
    const question = questionFor(kind, known, name, words);
    const replies =
      question.isUnanswered === true
        ? await castTo(context, app, question, options)
        : await askWorkers(context, app, question, options);
    if (options.json === true) say(context, document(kind, replies));
    else if (kind === 'inspect' && options.quiet !== true) say(context, `\n${nodeCount(replies.length)}`);
    return replies.every(({ value }) => isRefusal(value)) ? exitCodes.failed : exitCodes.done;
  } finally {
    await app.close();
  }
}

/** The table's visible rows and the user's own commands, by name. */
function commandsOf(kind: Kind, app: Celery): Known {
  const known = new Map<string, ControlCommand>();
  for (const [name, row] of Object.entries<ControlCommand>(commands)) {
    if (row.kind === kind && row.isVisible) known.set(name, row);
  }
  for (const [name, { args, help, kind: ownKind, signature }] of app.remote.commands) {
    if (ownKind !== kind) continue;
    known.set(name, {
      kind,
      args: args.map((argument) => ({ name: argument, type: 'any' })),
      words: args,
      ...(signature === undefined ? {} : { signature }),
      defaultTimeout: defaultTimeoutSeconds,
      isVisible: true,
      help,
    });
  }
  return new Map([...known].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function questionFor(
  kind: Kind,
  known: Known,
  name: string | undefined,
  words: readonly string[],
): Question & { readonly isUnanswered: boolean | undefined } {
  if (name === undefined) {
    throw new CommandError(`Which command? One of: ${[...known.keys()].join(', ')}.`, exitCodes.usage);
  }
  const row = known.get(name);
  if (row === undefined) {
    const [similar] = nearestFew(name, known.keys(), 1);
    const hint = similar === undefined ? '' : ` Did you mean '${similar}'?`;
    throw new CommandError(
      `Command '${name}' not recognized.${hint} Available ${kind} commands: ${[...known.keys()].join(', ')}`,
      exitCodes.usage,
    );
  }
  try {
    return {
      method: name,
      args: argumentsFromWords(name, row, words),
      defaultTimeout: Math.max(defaultTimeoutSeconds, row.defaultTimeout),
      showsAnswers: true,
      empty: kind === 'inspect' ? '{}' : '[]',
      isUnanswered: row.isUnanswered,
    };
  } catch (error) {
    if (error instanceof ArgumentsInvalid) throw new CommandError(error.message, exitCodes.usage);
    throw error;
  }
}

/** What workers do without a word: who is there is asked first, so that the caller learns who will. */
async function castTo(
  context: CommandContext,
  app: Celery,
  { args, defaultTimeout, empty, method }: Question,
  options: RemoteOptions,
): Promise<readonly NodeReply[]> {
  const there = await askWorkers(
    context,
    app,
    { method: 'ping', args: {}, defaultTimeout, showsAnswers: false, empty },
    options,
  );
  const { destination, pattern } = options;
  await app.remote.mailbox.cast(method, args, {
    ...(destination === undefined ? {} : { destination }),
    ...(pattern === undefined ? {} : { pattern }),
  });
  return there.map(({ node }) => ({ node, value: { ok: `${method} sent` } }));
}

/** As Celery gives it: a map of answers by node from `inspect`, a list of maps from `control`. */
function document(kind: Kind, replies: readonly NodeReply[]): string {
  const value =
    kind === 'inspect'
      ? Object.fromEntries(replies.map(({ node, value }) => [node, value]))
      : replies.map(({ node, value }) => ({ [node]: value }));
  return JSON.stringify(value, bigintAsText);
}

function list(context: CommandContext, kind: Kind, known: Known, asJson: boolean): number {
  const rows = [...known].map(
    ([name, { help, signature }]) => [signature ? `${name} ${signature}` : name, help] as const,
  );
  if (asJson) {
    say(
      context,
      JSON.stringify([...known].map(([name, { help, signature }]) => ({ name, signature: signature ?? '', help }))),
    );
    return exitCodes.done;
  }
  const width = Math.min(40, Math.max(...rows.map(([call]) => call.length)));
  say(context, `${kind === 'inspect' ? 'Inspect' : 'Control'} Commands:`);
  for (const [call, help] of rows) {
    // A long one has its line to itself, so that what they do stands in one column.
    const lines =
      call.length > width && help !== '' ? [call, `${''.padEnd(width)}  ${help}`] : [`${call.padEnd(width)}  ${help}`];
    for (const line of lines) say(context, `  ${line}`.trimEnd());
  }
  return exitCodes.done;
}

/**
 * The command line as a tree: the global options, and a row for each command. A command is a file in `commands/`.
 */
import type { EventEmitter } from 'node:events';
import { Command, CommanderError, Option } from 'commander';
import { redactText } from '../core/redact.ts';
import { amqpCommand } from './commands/amqp.ts';
import { beatCommand } from './commands/beat.ts';
import { brokerCommand } from './commands/broker.ts';
import { callCommand } from './commands/call.ts';
import { completionCommand } from './commands/completion.ts';
import { controlCommand } from './commands/control.ts';
import { devCommand } from './commands/dev.ts';
import { eventsCommand } from './commands/events.ts';
import { graphCommand } from './commands/graph.ts';
import { initCommand } from './commands/init.ts';
import { inspectCommand } from './commands/inspect.ts';
import { listCommand } from './commands/list.ts';
import { logtoolCommand } from './commands/logtool.ts';
import { migrateCommand } from './commands/migrate.ts';
import { multiCommand, multiWords, runMulti } from './commands/multi.ts';
import { purgeCommand } from './commands/purge.ts';
import { reportCommand } from './commands/report.ts';
import { resultCommand } from './commands/result.ts';
import { shellCommand } from './commands/shell.ts';
import { statusCommand } from './commands/status.ts';
import { upgradeCommand } from './commands/upgrade.ts';
import { workerCommand } from './commands/worker.ts';
import type { CommandContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';

/** Adds one command to the program; its action resolves to the exit code. */
export type DefineCommand = (context: CommandContext, run: (exitCode: Promise<number>) => void) => Command;

/** Under the headings of `--help`, in their order. */
const commands: Readonly<Record<string, readonly DefineCommand[]>> = {
  'Run:': [devCommand, workerCommand, beatCommand, multiCommand, brokerCommand],
  'Send tasks:': [callCommand, resultCommand],
  'Watch and steer workers:': [
    statusCommand,
    inspectCommand,
    controlCommand,
    eventsCommand,
    logtoolCommand,
    graphCommand,
  ],
  'Look at the broker and change it:': [listCommand, purgeCommand, migrateCommand, amqpCommand],
  'Work on a project:': [initCommand, shellCommand, upgradeCommand, completionCommand, reportCommand],
};

/** Runs the program; resolves to the exit code. @throws what a command throws. */
export async function runProgram(argv: readonly string[], version: string, context: CommandContext): Promise<number> {
  const several = multiWords(argv, globalOptions());
  if (several !== undefined && several[0] !== 'help') return runMulti(context, several);
  let exitCode: Promise<number> = Promise.resolve(exitCodes.done);
  const program = createProgram(version, context, (result) => {
    exitCode = result;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    throw error;
  }
  return exitCode;
}

/** The tree of commands; `run` gets the exit code of the one that is called. */
export function createProgram(
  version: string,
  context: CommandContext,
  run: (exitCode: Promise<number>) => void,
): Command {
  const program = configure(new Command('celery-ts'), context)
    .description('Celery for TypeScript: tasks over RabbitMQ.')
    .version(version, '--version', 'print the version')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', '\nThe options above may stand before or after the command.');
  for (const option of globalOptions()) program.addOption(option);
  for (const [heading, defined] of Object.entries(commands)) {
    for (const define of defined) program.addCommand(prepare(define(context, run), context).helpGroup(heading));
  }
  return program;
}

/** What all commands have in common, those inside others too: `list bindings`. */
function prepare(command: Command, context: CommandContext, path = command.name()): Command {
  configure(command, context, path);
  for (const option of command.options) readFromEnvironment(command, option, path);
  const [variable] = command.options.filter(({ hidden }) => !hidden).map(({ envVar }) => envVar);
  if (variable !== undefined) {
    command.addHelpText('after', `\nOptions may stand in the environment, too: ${variable}=… and the like.`);
  }
  if (!command.options.some(({ long }) => long === '--loglevel')) {
    command.addOption(
      new Option('--loglevel <level>', 'how much is logged, on stderr; ERROR by default').helpGroup(globalHeading),
    );
  }
  for (const option of globalOptions()) command.addOption(option.helpGroup(globalHeading));
  command.addHelpOption(new Option('-h, --help', 'show this help').helpGroup(globalHeading));
  if (command.commands.length > 0) command.helpCommand(false);
  for (const inner of command.commands) prepare(inner, context, `${path} ${inner.name()}`);
  return command;
}

/** With choices and default, without the variable: that is the same for every option. */
function described({ argChoices, defaultValue, defaultValueDescription, description }: Option): string {
  const more: string[] = [];
  if (argChoices !== undefined) more.push(argChoices.join(', '));
  if (defaultValue !== undefined && typeof defaultValue !== 'boolean') {
    more.push(`${defaultValueDescription ?? String(defaultValue)} by default`);
  }
  return more.length === 0 ? description : `${description} (${more.join('; ')})`;
}

/** commander's errors as ours are: `Error: unknown option '--xy'; did you mean '--xyz'?` */
function asOurs(text: string): string {
  return text
    .replace(/^error: /, 'Error: ')
    .replace(/\.?\n\(Did you mean (?:one of )?([^?]*)\?\)/, (_, names: string) => {
      const quoted = names.split(', ').map((name) => `'${name}'`);
      return `; did you mean ${quoted.join(' or ')}?`;
    });
}

const globalHeading = 'Global options:';

/** `CELERY_WORKER_CONCURRENCY=2`. Behind the command line; `0`, `no` and `false` set no flag. */
function readFromEnvironment(command: Command, option: Option, path: string): void {
  const name = `CELERY_${path}_${option.attributeName()}`;
  option.env(
    name
      .replace(/([a-z])([A-Z])/g, '$1_$2')
      .replace(/[ .-]/g, '_')
      .toUpperCase(),
  );
  const isFlag = !option.required && !option.optional;
  // commander asks for it when parsing, but listens only if it knew of the variable when the option was added.
  command.on(`optionEnv:${option.name()}`, (value?: string) => {
    if (isFlag && /^(|0|no|off|false)$/i.test(process.env[option.envVar ?? ''] ?? '')) return;
    (command as unknown as EventEmitter).emit(`option:${option.name()}`, value); // which it is, untold by its types
  });
}

function configure(command: Command, context: CommandContext, path = ''): Command {
  return command
    .exitOverride()
    .helpOption('-h, --help', 'show this help')
    .configureHelp({ subcommandTerm: (inner) => inner.name(), optionDescription: described })
    .showHelpAfterError(`(${`celery-ts ${path}`.trim()} --help shows what there is)`)
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(redactText(text)),
      outputError: (text, write) => write(asOurs(text)),
    });
}

function globalOptions(): Option[] {
  return [
    new Option('-A, --app <app>', 'module or file with the app: tasks, ./src/tasks.ts, pkg.mod:name'),
    new Option('-b, --broker <url>', 'broker instead of the one in the settings'),
    new Option('--result-backend <url>', 'result backend instead of the one in the settings'),
    new Option('--loader <name>', "accepted for Celery's sake; modules are found by name here").hideHelp(),
    new Option('--config <module>', 'config module'),
    new Option('--workdir <folder>', 'change to this folder first'),
    new Option('-C, --no-color', 'no colours'),
    new Option('-q, --quiet', 'less output'),
    new Option('--skip-checks', "accepted for Celery's sake; there are no such checks").hideHelp(),
  ];
}

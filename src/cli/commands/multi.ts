/**
 * `celery-ts multi`: several workers on this host, in the background, found again by their pid files. Its words are not
 * those of other commands (`-c:w1 3`), so they are read here and not by commander.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { Command, type Option } from 'commander';
import { nearest } from '../../core/nearest.ts';
import { packageVersion } from '../../core/package-version.ts';
import { nodeSystem } from '../../core/system.ts';
import { type CommandContext, say } from '../context.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { type MultiDefaults, type MultiNode, multiNodes, multiOptions } from '../multi/nodes.ts';
import { type MultiHost, signalNamed, signalNodes, startNodes, waitUntilGone } from '../multi/run.ts';
import { parseMultiWords } from '../multi/words.ts';
import { expandNodeFormat } from '../node-format.ts';
import type { DefineCommand } from '../program.ts';
import { styleFor } from '../style.ts';
import { workerCommand } from './worker.ts';

const help = `
Commands:
  start <names or count> [worker options]     start each in the background
  restart <names or count> [-SIGNAL] [...]    stop each, wait, start it again
  stop <names or count> [-SIGNAL]             send TERM, or that signal
  stopwait <names or count> [-SIGNAL]         the same, and wait until all are gone
  kill <names or count>                       send KILL
  show <names or count> [worker options]      print the command lines
  get <node> <names or count> [...]           print the arguments of one
  names <names or count>                      print the node names
  expand <template> <names or count>          print a template for each node: %n.pid

Options of multi itself:
  --pidfile <template>     /var/run/celery/%n.pid where that folder can be written to, else %n.pid
  --logfile <template>     /var/log/celery/%n%I.log likewise
  --executable <path>      run by this Node
  --cmd <command>          run this instead of 'worker --detach'
  --append <text>          put this at the end of each command line
  -n, --hostname <host>    host part of names without one
  --prefix, --suffix       around names; --suffix is the host part
  --range-prefix <text>    before the numbers when a count is given, celery by default
  --nosplash, -q, --quiet, --verbose, --no-color

An option for some nodes names them behind a colon: -c:w1 3, -Q:1,3 images, and with a count -c:1-3 2.
Letters in pid and log files: %n name, %h host, %d domain, %p node, %i and %I pool process.

Examples:
  celery-ts multi start w1 w2 -A tasks -l info -c 2 -c:w1 4
  celery-ts multi start 3 -A tasks -Q:1-2 images -Q:3 mail --pidfile=run/%n.pid --logfile=log/%n%I.log
  celery-ts multi stopwait w1 w2`;

export const multiCommand: DefineCommand = (context, run) =>
  new Command('multi')
    .description('start, restart and stop several workers in the background')
    .argument('[words...]', 'a command, names or a count, options of the worker')
    .addHelpText('after', help)
    .action((words: string[]) => run(runMulti(context, words)));

/** The words behind `multi`, with global options that stood before it; undefined when this is another command. */
export function multiWords(argv: readonly string[], globals: readonly Option[]): readonly string[] | undefined {
  const before: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === 'multi') {
      const words = argv.slice(at + 1);
      const wantsHelp = words.length === 0 || ['--help', '-h', 'help'].includes(words[0] ?? '');
      return wantsHelp ? ['help'] : [...words.slice(0, 1), ...words.slice(1), ...before];
    }
    const option = globals.find(({ long, short }) => word === long || word === short);
    if (option === undefined && !/^--[\w-]+=/.test(word)) return undefined;
    before.push(word);
    if (option?.required === true) {
      at += 1;
      before.push(argv[at] ?? '');
    }
  }
  return undefined;
}

/** @throws {CommandError} 2 for words that make no sense. */
export async function runMulti(context: CommandContext, words: readonly string[]): Promise<number> {
  const [name = '', ...rest] = words;
  const action = actions.get(name);
  if (action === undefined) {
    const near = nearest(name, actions.keys());
    throw new CommandError(
      `multi has no command '${name}'${near === undefined ? '' : `; did you mean '${near}'?`} (celery-ts multi --help shows what there is)`,
      exitCodes.usage,
    );
  }
  return action(context, rest);
}

type Action = (context: CommandContext, words: readonly string[]) => Promise<number>;

const actions: ReadonlyMap<string, Action> = new Map<string, Action>([
  ['start', (context, words) => start(context, words)],
  ['restart', (context, words) => restart(context, words)],
  ['stop', (context, words) => stop(context, words, false)],
  ['stopwait', (context, words) => stop(context, words, true)],
  ['stop_verify', (context, words) => stop(context, words, true)],
  ['kill', (context, words) => stop(context, ['-KILL', ...words], true)],
  ['show', (context, words) => print(context, words, ({ executable, shown }) => [executable, ...shown].join(' '))],
  ['names', (context, words) => print(context, words, ({ full }) => full)],
  ['expand', (context, [template = '', ...words]) => print(context, words, (node) => expandNodeFormat(template, node))],
  ['get', (context, words) => get(context, words)],
]);

async function start(context: CommandContext, words: readonly string[]): Promise<number> {
  const { host, nodes } = prepare(context, words, 'celery-ts multi');
  host.say('> Starting nodes...');
  return (await startNodes(host, nodes)) ? exitCodes.done : exitCodes.failed;
}

async function restart(context: CommandContext, words: readonly string[]): Promise<number> {
  const { signal, words: others } = takeSignal(words);
  const { host, nodes } = prepare(context, others, 'celery-ts multi');
  let isFine = true;
  for (const node of nodes) {
    host.say('> Stopping nodes...');
    await waitUntilGone(host, await signalNodes(host, [node], signal));
    host.note('> Restarting node');
    isFine = (await startNodes(host, [node])) && isFine;
  }
  return isFine ? exitCodes.done : exitCodes.failed;
}

async function stop(context: CommandContext, words: readonly string[], waits: boolean): Promise<number> {
  const { signal, words: others } = takeSignal(words);
  const { host, nodes } = prepare(context, others, 'celery-ts multi');
  host.say(`> ${signal === 'SIGKILL' ? 'Killing' : 'Stopping'} nodes...`);
  const running = await signalNodes(host, nodes, signal);
  if (waits) await waitUntilGone(host, running);
  return exitCodes.done;
}

async function print(
  context: CommandContext,
  words: readonly string[],
  text: (node: MultiNode) => string,
): Promise<number> {
  for (const node of prepare(context, words).nodes) say(context, text(node));
  return exitCodes.done;
}

async function get(context: CommandContext, [wanted = '', ...words]: readonly string[]): Promise<number> {
  const { nodes } = prepare(context, words);
  const node = nodes.find(({ full, name }) => full === wanted || name === wanted);
  if (node === undefined) {
    throw new CommandError(`There is no node '${wanted}'; there are ${nodes.map(({ full }) => full).join(', ')}.`);
  }
  say(context, node.shown.join(' '));
  return exitCodes.done;
}

/** The nodes, and where to tell of them; `title` is what is told first, unless it is not wanted. */
function prepare(
  context: CommandContext,
  given: readonly string[],
  title?: string,
): { readonly host: MultiHost; readonly nodes: readonly MultiNode[] } {
  const has = (...words: string[]): boolean => words.some((word) => given.includes(word));
  const isQuiet = has('-q', '--quiet');
  const style = styleFor(context, { color: !has('-C', '--no-color') });
  const output = (text: string): void => {
    if (!isQuiet) context.stdout.write(text);
  };
  const host: MultiHost = {
    system: nodeSystem(),
    style,
    say: (text) => output(`${text}\n`),
    note: (text) => output(text),
  };
  const words = given.filter((word) => word !== '--nosplash' && word !== '--verbose');
  const nodes = multiNodes(parseMultiWords(words, takesValue), multiDefaults());
  if (title !== undefined && !has('--nosplash')) host.say(`${title} v${packageVersion()}`);
  return { host, nodes };
}

function takeSignal(words: readonly string[]): { signal: NodeJS.Signals; words: readonly string[] } {
  const at = words.findIndex((word) => signalNamed(word) !== undefined);
  const signal = signalNamed(words[at] ?? '') ?? 'SIGTERM';
  return { signal, words: at === -1 ? words : words.filter((_, index) => index !== at) };
}

/** Long options of `multi`, of every command and of the worker that want a value. */
function takesValue(option: string): boolean {
  if (multiOptions.includes(option) || commonOptions.has(option)) return true;
  const known = workerCommand(silent, () => undefined).options.find(({ long }) => long === option);
  return known?.required === true;
}

const commonOptions = new Set(['--app', '--broker', '--result-backend', '--loader', '--config', '--workdir']);
const silent: CommandContext = { stdout: { write: () => true }, stderr: { write: () => true }, env: {} };

function multiDefaults(): MultiDefaults {
  return {
    hostname: hostname(),
    executable: process.execPath,
    entry: [...process.execArgv, process.argv[1] ?? 'celery-ts'],
    pidfile: inFolder('/var/run/celery', '%n.pid'),
    logfile: inFolder('/var/log/celery', '%n%I.log'),
  };
}

/** There when it can be written to, or made; else here. */
function inFolder(folder: string, file: string): string {
  try {
    accessSync(existsSync(folder) ? folder : dirname(folder), constants.W_OK);
    return `${folder}/${file}`;
  } catch {
    return file;
  }
}

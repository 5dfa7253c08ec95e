/**
 * Nodes made of the words: their full names, their options, the command line that starts each. Pure.
 */
import { redactArgs } from '../../core/redact.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { expandNodeFormat, type NodeParts, nodeParts } from '../node-format.ts';
import type { MultiWords, NodeOptions } from './words.ts';

export interface MultiDefaults {
  /** The host of names without one. */
  readonly hostname: string;
  /** What runs the command where no `--executable` names another: `node`. */
  readonly executable: string;
  /** What the executable runs: the path of `celery-ts`. */
  readonly entry: readonly string[];
  /** Templates: `/var/run/celery/%n.pid`. */
  readonly pidfile: string;
  readonly logfile: string;
}

export interface MultiNode extends NodeParts {
  readonly executable: string;
  /** Behind the executable, word by word. */
  readonly argv: readonly string[];
  /** As `show` and `get` print them: options with their values, each as one text, secrets masked. */
  readonly shown: readonly string[];
  readonly pidfile: string;
  readonly logfile: string;
  readonly workdir: string | undefined;
  /** `--uid` and `--gid` of this node. */
  readonly uid: string | undefined;
  readonly gid: string | undefined;
}

/** Options of `multi` itself; nodes do not get them. */
export const multiOptions = ['--cmd', '--append', '--hostname', '-n', '--prefix', '--suffix', '--range-prefix'];

/** They stand before the command. */
const globalOptions = new Set([
  '-A',
  '--app',
  '-b',
  '--broker',
  '--result-backend',
  '--loader',
  '--config',
  '--workdir',
  '-C',
  '--no-color',
  '-q',
  '--quiet',
]);

/** @throws {CommandError} 2 for a place that no node has, a name with other characters, an unknown `%` letter. */
export function multiNodes(words: MultiWords, defaults: MultiDefaults): MultiNode[] {
  const own = (...names: string[]): string | undefined => names.map((name) => words.options.get(name)).find(Boolean);
  const count = words.names.length === 1 && /^\d+$/.test(words.names[0] ?? '') ? Number(words.names[0]) : undefined;
  if (count !== undefined && (count < 1 || count > mostNodes)) {
    throw usage(`There can be 1 to ${mostNodes} nodes, not ${count}.`);
  }
  const names = count === undefined ? words.names : Array.from({ length: count }, (_, index) => String(index + 1));
  if (names.length === 0) throw usage('Name the nodes, w1 w2 say, or say how many there are.');
  const hostname = own('--hostname', '-n') ?? defaults.hostname;
  const prefix = (count === undefined ? own('--prefix') : (own('--range-prefix') ?? 'celery')) ?? '';
  const givenSuffix = own('--suffix') ?? hostname;
  const suffix = givenSuffix === '""' || givenSuffix === "''" ? '' : givenSuffix;
  const scopes = scopesByNode(words, names, count !== undefined);
  const cmd = own('--cmd')?.split(/\s+/).filter(Boolean);
  const general = new Map([...words.options].filter(([name]) => !multiOptions.includes(name)));
  return names.map((name) => {
    const full = name.includes('@') ? name.replaceAll('%h', hostname) : `${prefix}${name}@${suffix}`;
    if (!/^[A-Za-z0-9_.@-]+$/.test(full)) {
      throw usage(`A node name may have letters, digits and _ . - @ only; '${full}' has others.`);
    }
    const node = nodeParts(full);
    const options = new Map(general);
    for (const scope of [name, node.name, full]) {
      for (const [option, value] of scopes.get(scope) ?? []) options.set(option, value);
    }
    return commandLine(node, options, { defaults, cmd, append: own('--append'), rest: words.rest });
  });
}

const mostNodes = 1000;

/** Options by the node's name as given. */
function scopesByNode(words: MultiWords, names: readonly string[], isCount: boolean): Map<string, NodeOptions> {
  const found = new Map<string, Map<string, string>>();
  for (const [scope, options] of words.scoped) {
    for (const item of scope.split(',')) {
      for (const name of nodesOf(item, names, isCount)) {
        const own = found.get(name) ?? new Map<string, string>();
        for (const [option, value] of options) own.set(option, value);
        found.set(name, own);
      }
    }
  }
  return found;
}

function nodesOf(item: string, names: readonly string[], isCount: boolean): readonly string[] {
  const at = (place: number): string => {
    const name = names[place - 1];
    if (name === undefined) throw usage(`There is no node ${place}: places go from 1 to ${names.length}.`);
    return name;
  };
  const range = isCount ? /^(\d+)-(\d+)$/.exec(item) : null;
  if (range !== null) {
    const [first, last] = [Number(range[1]), Number(range[2])];
    if (first > last) throw usage(`The range ${item} is empty: the smaller number comes first.`);
    at(last);
    return Array.from({ length: last - first + 1 }, (_, index) => at(first + index));
  }
  return [/^\d+$/.test(item) && !names.includes(item) ? at(Number(item)) : item];
}

interface Making {
  readonly defaults: MultiDefaults;
  readonly cmd: readonly string[] | undefined;
  readonly append: string | undefined;
  readonly rest: readonly string[];
}

function commandLine(node: NodeParts, options: Map<string, string>, making: Making): MultiNode {
  const { append, cmd, defaults, rest } = making;
  const setDefault = (names: readonly [string, ...string[]], value: string): string => {
    const given = names.map((name) => options.get(name)).find((text) => text !== undefined && text !== '');
    if (given === undefined) options.set(names[0], value);
    return given ?? value;
  };
  const pidfile = setDefault(['--pidfile'], defaults.pidfile);
  const logfile = setDefault(['--logfile', '-f'], defaults.logfile);
  const executable = setDefault(['--executable'], defaults.executable);
  options.delete('-n');
  options.set('-n', node.full);
  const expand = (text: string): string => expandNodeFormat(text, node, 'later');
  const before: [string, string][] = [];
  const after: [string, string][] = [];
  for (const [name, value] of options) (globalOptions.has(name) ? before : after).push([name, expand(value)]);
  const command = cmd ?? ['worker', '--detach'];
  const appended = append === undefined ? [] : expand(append).split(/\s+/).filter(Boolean);
  const written = (pairs: readonly [string, string][]): string[] => pairs.map(([name, value]) => shown(name, value));
  return {
    ...node,
    executable,
    argv: [
      ...defaults.entry,
      ...before.flatMap(asWords),
      ...command,
      ...after.flatMap(asWords),
      ...rest.filter((word) => word !== '--'),
      ...appended,
    ],
    shown: [
      ...redactArgs(defaults.entry),
      ...written(before),
      ...redactArgs(command),
      ...written(after),
      redactArgs(rest).join(' '),
      ...(appended.length === 0 ? [] : [redactArgs(appended).join(' ')]),
    ],
    pidfile: expandNodeFormat(pidfile, node),
    logfile: expandNodeFormat(logfile, node),
    workdir: options.get('--workdir'),
    uid: options.get('--uid'),
    gid: options.get('--gid'),
  };
}

function asWords([name, value]: [string, string]): string[] {
  if (value === '') return [name];
  return name.startsWith('--') ? [`${name}=${value}`] : [name, value];
}

function shown(name: string, given: string): string {
  const [, value = ''] = redactArgs([name, given]);
  const text = /^[\w@%+=:,./-]*$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
  if (value === '') return name;
  return name.startsWith('--') ? `${name}=${text}` : `${name} ${text}`;
}

function usage(message: string): CommandError {
  return new CommandError(message, exitCodes.usage);
}

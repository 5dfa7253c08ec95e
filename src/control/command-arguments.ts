/**
 * Arguments of commands, both ways: words of a command line become a map, and a map that came over the wire is checked
 * before a handler sees it. Pure.
 */
import { ArgumentsInvalid } from '../core/errors.ts';
import type { ArgumentType, CommandArgument, ControlCommand } from './commands.ts';

/**
 * The arguments that a handler gets: those the command knows and all others as they came, with the defaults filled in.
 * Celery's workers take any further argument without a word, so this does too.
 *
 * @throws {ArgumentsInvalid} naming what is missing or of the wrong type
 */
export function checkArguments(
  name: string,
  command: Pick<ControlCommand, 'args'>,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const checked: Record<string, unknown> = Object.assign(Object.create(null), given);
  const problems: string[] = [];
  for (const argument of command.args) {
    const value = given[argument.name] ?? undefined;
    if (value === undefined) {
      if (argument.isRequired === true) problems.push(`missing argument '${argument.name}'`);
      checked[argument.name] = argument.default ?? null;
    } else if (!fits(argument.type, value)) {
      problems.push(`argument '${argument.name}' must be ${described[argument.type]}`);
    }
  }
  if (problems.length > 0) throw new ArgumentsInvalid(`${name}: ${problems.join('; ')}`);
  return checked;
}

/**
 * The arguments that words of a command line stand for: by position, then the variadic one.
 *
 * @throws {ArgumentsInvalid} too many or too few words, or one that cannot be converted
 */
export function argumentsFromWords(
  name: string,
  command: Pick<ControlCommand, 'args' | 'words' | 'variadic' | 'signature'>,
  words: readonly string[],
): Record<string, unknown> {
  const usage = `${name} takes ${command.signature ?? 'no arguments'}`;
  const byName = new Map<string, CommandArgument>(command.args.map((argument) => [argument.name, argument]));
  const found: Record<string, unknown> = {};
  for (const [index, word] of words.slice(0, command.words.length).entries()) {
    const argument = byName.get(command.words[index] ?? '');
    if (argument === undefined) continue;
    const value = convert(argument.type, word);
    if (value === undefined) {
      throw new ArgumentsInvalid(`'${word}' is not ${described[argument.type]} (${argument.name}): ${usage}.`);
    }
    found[argument.name] = value;
  }
  const rest = words.slice(command.words.length);
  if (command.variadic !== undefined) found[command.variadic] = rest;
  else if (rest.length > 0) throw new ArgumentsInvalid(`'${rest[0]}' is one word too many: ${usage}.`);
  const missing = command.words.filter((word) => byName.get(word)?.isRequired === true && !(word in found));
  if (missing.length > 0) throw new ArgumentsInvalid(`${missing.join(' and ')} missing: ${usage}.`);
  return found;
}

const described: Readonly<Record<ArgumentType, string>> = {
  text: 'a text',
  integer: 'a whole number',
  number: 'a number',
  flag: 'true or false',
  list: 'a list',
  map: 'a map',
  any: 'given',
};

function fits(type: ArgumentType, value: unknown): boolean {
  switch (type) {
    case 'text':
      return typeof value === 'string';
    case 'integer':
      return Number.isSafeInteger(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'flag':
      return typeof value === 'boolean' || value === 0 || value === 1;
    case 'list':
      return Array.isArray(value);
    case 'map':
      return typeof value === 'object' && !Array.isArray(value);
    case 'any':
      return true;
  }
}

/** A word as a value; undefined when it is none of that type. */
function convert(type: ArgumentType, word: string): unknown {
  switch (type) {
    case 'integer':
      return /^[+-]?\d{1,15}$/.test(word) ? Number(word) : undefined;
    case 'number':
      return word.trim() !== '' && Number.isFinite(Number(word)) ? Number(word) : undefined;
    case 'flag':
      return flags.get(word.toLowerCase());
    case 'list':
    case 'map':
      return parsed(type, word);
    case 'text':
    case 'any':
      return word;
  }
}

// The words Python's `strtobool` of Celery takes.
const flags: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', 'on', '1'].map((word) => [word, true] as const),
  ...['false', 'no', 'off', '0'].map((word) => [word, false] as const),
]);

function parsed(type: 'list' | 'map', word: string): unknown {
  try {
    const value: unknown = JSON.parse(word);
    return value !== null && fits(type, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

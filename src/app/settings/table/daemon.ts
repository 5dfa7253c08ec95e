/** Rows that worker, beat and events have alike: what each is as a program that runs in the background. */
import { type More, shaped, unfit } from '../setting.ts';

/** A user or group, by name or number. */
export function identity(sentence: string) {
  return shaped<string | undefined, string | number | undefined>('string | integer', undefined, sentence, (value) => {
    if (typeof value === 'string') return value;
    return Number.isSafeInteger(value) ? String(value) : unfit('a name or a number', value);
  });
}

/** A mode mask: octal text, or the number itself. */
export function octal(sentence: string) {
  return shaped<string | undefined, string | number | undefined>('string | integer', undefined, sentence, (value) => {
    if (typeof value === 'string' && /^(0o?)?[0-7]+$/i.test(value)) return value;
    return typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)
      ? value.toString(8)
      : unfit("an octal text such as '022', or a number", value);
  });
}

/** Why `…Executable` changes nothing. */
export const startedBefore: More = {
  noEffect: 'The program runs before its settings are read: use the option `--executable`.',
};

/**
 * What others wrote, fit for a log or a terminal. Control characters become visible, so that no text draws on the
 * terminal that shows it or begins a line of its own. In a log no text is longer than 8 KiB, no field than eight times that. Secrets are `redact.ts`'s.
 */

/** Characters of one text; what is longer ends in `cutMark`. */
export const longestText = 8192;
export const cutMark = ' [cut]';

/** All texts of one field together, its keys too. */
const longestField = 8 * longestText;
/** What even an empty item takes of a field. */
const leastOfItem = 8;

/** C0, DEL and C1, what parts lines elsewhere, and what turns the direction of writing; not tabs and ends of lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be found
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be found
const controlsAndNewlines = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;
const allControls = new RegExp(controls, 'g');
const allControlsAndNewlines = new RegExp(controlsAndNewlines, 'g');

/** Control characters as `\x1b`; tabs and the ends of lines stay. */
export function printable(text: string): string {
  return controls.test(text) ? text.replace(allControls, escaped) : text;
}

/** The same in one line: an end of line becomes `\n`. */
export function inOneLine(text: string): string {
  return controlsAndNewlines.test(text) ? text.replace(allControlsAndNewlines, escaped) : text;
}

/** A text of a log: in one line, never endless. */
export function logText(text: string): string {
  // One look for most texts: a log line costs 2.5 µs, and this is done to each of its fields.
  if (text.length <= longestText && !controlsAndNewlines.test(text)) return text;
  return cut(text, inOneLine);
}

/** A field of a log, given as plain data, under its name: stacks and tracebacks keep their lines. */
export function logField(name: string, value: unknown): unknown {
  if (typeof value === 'string') return textUnder(name, value);
  return typeof value === 'object' && value !== null ? fieldInside(name, value, { left: longestField }) : value;
}

function textUnder(name: string, text: string): string {
  return name === 'stack' || name === 'traceback' ? cut(text, printable) : logText(text);
}

function cut(text: string, show: (text: string) => string): string {
  const isLong = text.length > longestText;
  const shown = show(isLong ? text.slice(0, longestText) : text);
  return isLong || shown.length > longestText ? `${shown.slice(0, longestText)}${cutMark}` : shown;
}

function fieldInside(name: string, value: unknown, room: { left: number }): unknown {
  room.left -= leastOfItem;
  if (typeof value === 'string') {
    const text = textUnder(name, value);
    room.left -= text.length;
    return text;
  }
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const item of value) {
      if (room.left <= 0) return [...items, cutMark.trim()];
      items.push(fieldInside('', item, room));
    }
    return items;
  }
  const entries: [string, unknown][] = [];
  for (const [key, held] of Object.entries(value)) {
    if (room.left <= 0) {
      entries.push([cutMark.trim(), true]);
      break;
    }
    const shownKey = logText(key);
    room.left -= shownKey.length;
    entries.push([shownKey, fieldInside(key, held, room)]);
  }
  return Object.fromEntries(entries);
}

function escaped(sign: string): string {
  if (sign === '\n') return '\\n';
  const code = sign.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
}

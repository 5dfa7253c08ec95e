/** What gets into a log line, whoever wrote it: nothing that draws, begins a line of its own, or has no end. */
import { describe, expect, it } from 'vitest';
import { createLineLogger } from '../../../src/cli/logger.ts';
import { cutMark, longestText, printable } from '../../../src/core/log-text.ts';
import { headOf } from '../../../src/worker/outcome-log.ts';

function aLogger() {
  const lines: string[] = [];
  const log = createLineLogger('debug', (line) => lines.push(line));
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') };
}

const hostile = 'a\nb\r\u001b[2J\u009b31m\u0000\u007f\u202e\u2028\tc';
const shown = 'a\\nb\\x0d\\x1b[2J\\x9b31m\\x00\\x7f\\u202e\\u2028\tc';

describe('control characters are visible', () => {
  it('in fields, in what is inside them, and in keys', () => {
    const { last, log } = aLogger();
    log.info({ task: hostile, nested: { [hostile]: [hostile, { deep: hostile }] }, [hostile]: 1 }, 'Said');
    expect(last()).toMatchObject({
      task: shown,
      nested: { [shown]: [shown, { deep: shown }] },
      [shown]: 1,
      msg: 'Said',
    });
  });

  it('in the sentence and in the values put into it', () => {
    const { last, log } = aLogger();
    log.info(`told ${hostile}`);
    expect(last().msg).toBe(`told ${shown}`);
    log.info('told %s, %j', hostile, { at: '\u009b' });
    expect(last().msg).toBe(`told ${shown}, {"at":"\\x9b"}`);
  });

  it('in errors, whose stacks keep their lines', () => {
    const { last, log } = aLogger();
    log.error({ err: new Error(hostile, { cause: new TypeError('\u001bwhy') }) }, 'Failed');
    const { message, stack } = last().err;
    expect(message).toBe(`${shown}: \\x1bwhy`);
    expect(stack).toMatch(/^Error: a\nb\\x0d\\x1b\[2J.*\n {4}at /s);
    expect(stack).toContain('caused by: TypeError: \\x1bwhy');
    log.warn({ why: new Error(hostile) }, 'Failed');
    expect(last().why.message).toBe(shown);
  });

  it('in an error that is logged alone, whose message is the sentence; its secrets are masked there too', () => {
    const { last, log } = aLogger();
    log.error(new Error(`${hostile} amqp://me:s3cret@rabbit//`));
    expect(last().msg).toBe(`${shown} amqp://me:********@rabbit//`);
    log.error({ err: new Error(hostile) });
    expect(last().msg).toBe(shown);
  });

  it('in what a logger is bound to, and its children with it', () => {
    const { last, log } = aLogger();
    const child = log.child({ task: hostile, dsn: 's3cret' });
    child.setBindings({ more: hostile });
    child.child({ taskId: hostile }).info('Said');
    expect(last()).toMatchObject({ task: shown, more: shown, taskId: shown });
    expect(JSON.stringify(last())).not.toContain('s3cret');
  });

  it('but for the ends of lines in a traceback', () => {
    const { last, log } = aLogger();
    log.error({ traceback: 'Traceback:\n\tFile\u001b', exception: 'E\n' }, 'Failed');
    expect(last()).toMatchObject({ traceback: 'Traceback:\n\tFile\\x1b', exception: 'E\\n' });
  });

  it('also in the output of tasks, which is cut into lines before', () => {
    expect(printable('one\ttwo\u009b\u001b')).toBe('one\ttwo\\x9b\\x1b');
  });
});

describe('nothing is endless', () => {
  const megabyte = 'x'.repeat(2 ** 20);
  const cut = `${'x'.repeat(longestText)}${cutMark}`;

  it('a text, wherever it stands', () => {
    const { last, lines, log } = aLogger();
    log.child({ task: megabyte }).info({ name: megabyte, inside: [megabyte], traceback: megabyte }, megabyte);
    expect(last()).toMatchObject({ task: cut, name: cut, inside: [cut], traceback: cut, msg: cut });
    log.info({ [megabyte]: 1 }, 'A key');
    expect(last()[cut]).toBe(1);
    log.error(new Error(megabyte));
    expect(last().err.message).toBe(cut);
    for (const line of lines) expect(line.length).toBeLessThan(10 * longestText);
  });

  it('control characters neither, which take four places each', () => {
    const { last, log } = aLogger();
    log.info({ name: '\u001b'.repeat(longestText) }, 'Said');
    expect(last().name).toBe(`${'\\x1b'.repeat(longestText / 4)}${cutMark}`);
  });

  it('a list or an object of many', () => {
    const { last, lines, log } = aLogger();
    const list = Array.from({ length: 20_000 }, (_, index) => `item ${index}`);
    const map = Object.fromEntries(list.map((item) => [item, { item }]));
    log.info({ list, map, lists: [[list], [list]] }, 'Said');
    expect(last().list.at(-1)).toBe('[cut]');
    expect(last().map['[cut]']).toBe(true);
    expect(lines.at(-1)?.length).toBeLessThan(6 * 8 * longestText);
  });

  it('and what is short stays as it is', () => {
    const { last, log } = aLogger();
    const fields = {
      text: 'plain',
      list: [1, null, true, 'x'],
      map: { a: { b: [{ c: 'd' }] } },
      n: 5,
      at: new Date(0),
    };
    log.info(fields, 'Said');
    expect(last()).toMatchObject({ ...fields, at: '1970-01-01T00:00:00.000Z' });
  });
});

describe('the head of a refused message', () => {
  it('is its first 200 bytes, each that could draw or end the quotes escaped', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => 255 - index);
    const head = headOf(bytes);
    expect(head).toContain('\\x9b');
    expect(head).toContain('\\x7f');
    expect([...head].every((sign) => sign >= ' ' && !(sign >= '\u007f' && sign <= '\u009f'))).toBe(true);
    expect(head).toContain('~}|');
    expect(head.endsWith(':98')).toBe(true); // 255 - 199 is '8'
    expect(headOf(Buffer.from('\n"\u001b\\'))).toBe('\\n\\"\\u001b\\\\');
  });
});

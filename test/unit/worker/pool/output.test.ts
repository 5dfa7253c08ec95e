import { describe, expect, it } from 'vitest';
import { captureOutput, LineCutter, maxLineBytes, OutputBudget } from '../../../../src/worker/pool/output.ts';

function aCutter(allowance?: ConstructorParameters<typeof OutputBudget>[1]) {
  let now = 0;
  const lines: string[] = [];
  const budget = new OutputBudget({ monotonic: () => now }, allowance);
  const cutter = new LineCutter(budget, (line) => lines.push(line));
  const wait = (ms: number): void => {
    now += ms;
  };
  return { budget, cutter, lines, wait };
}

describe('the output of a task', () => {
  it('is cut into lines wherever the writes end', () => {
    const { cutter, lines } = aCutter();
    for (const chunk of ['one\ntw', 'o\r\n', '\n', Buffer.from('żó'), Buffer.from('ł').subarray(0, 1)])
      cutter.write(chunk);
    cutter.write(Buffer.from('ł').subarray(1));
    cutter.write('\nrest');
    expect(lines).toEqual(['one', 'two', '', 'żół']);
    cutter.end();
    cutter.end();
    expect(lines.at(-1)).toBe('rest');
    expect(lines).toHaveLength(5);
  });

  it('shows control characters instead of obeying them', () => {
    const { cutter, lines } = aCutter();
    cutter.write('\u001b[2J\u0007tab\tkept\u0000\u009b\n');
    expect(lines).toEqual(['\\x1b[2J\\x07tab\tkept\\x00\\x9b']);
  });

  it.each([
    ['one write', ['x'.repeat(100_000), '\n']],
    ['many writes', Array(50).fill('x'.repeat(2000)).concat('\n')],
    ['wide characters', ['漢'.repeat(50_000), '\n']],
  ])('has lines of at most 8 KiB: %s', (_what, chunks: string[]) => {
    const { budget, cutter, lines } = aCutter();
    for (const chunk of chunks) cutter.write(chunk);
    cutter.write('next\n');
    expect(lines).toEqual([expect.stringMatching(/ \[cut\]$/), 'next']);
    expect(Buffer.byteLength(lines[0]?.replace(/ \[cut\]$/, '') ?? '')).toBeLessThanOrEqual(maxLineBytes);
    expect(lines[0]).not.toContain('\ufffd');
    expect(budget.takeDropped()).toMatch(/^\[\d+ bytes of output dropped/);
  });

  it('is limited in lines: what is above is counted, and time brings new budget', () => {
    const { budget, cutter, lines, wait } = aCutter({ lines: 10, bytes: 1e6, burstSeconds: 1 });
    cutter.write('line\n'.repeat(25));
    expect(lines).toHaveLength(10);
    expect(budget.takeDropped()).toBe(
      '[75 bytes of output dropped (with 15 whole lines): more than the log takes from one process]',
    );
    expect(budget.takeDropped()).toBeUndefined();
    wait(500);
    cutter.write('line\n'.repeat(25));
    expect(lines).toHaveLength(15);
  });

  it('is limited in bytes', () => {
    const { cutter, lines, wait } = aCutter({ lines: 1e6, bytes: 1000, burstSeconds: 1 });
    for (let count = 0; count < 100; count += 1) cutter.write(`${'x'.repeat(99)}\n`);
    expect(lines.length).toBeLessThanOrEqual(12);
    wait(1000);
    cutter.write('fresh\n');
    expect(lines.at(-1)).toBe('fresh');
  });

  it('is dropped unread while nothing is left, and starts again at the begin of a line', () => {
    const { cutter, lines, wait } = aCutter({ lines: 1, bytes: 1000, burstSeconds: 1 });
    cutter.write('first\n');
    cutter.write('dropped, and no end');
    wait(2000);
    cutter.write(' of it\nsecond\n');
    expect(lines).toEqual(['first', 'second']);
  });
});

describe('capturing stdout and stderr', () => {
  it('takes what is written here, tells the writer when it is done, and lets go again', async () => {
    const heard: string[] = [];
    const writer = { write: (stream: string, chunk: string | Uint8Array) => heard.push(`${stream}: ${String(chunk)}`) };
    let isTask = true;
    const before = process.stdout.write;
    const through: string[] = [];
    process.stdout.write = ((chunk: string) => through.push(chunk)) as never;
    const release = captureOutput(() => (isTask ? writer : undefined));
    try {
      expect(process.stdout.write('text')).toBe(true);
      await new Promise<void>((resolve) => process.stderr.write('error', () => resolve()));
      await new Promise<void>((resolve) => process.stdout.write('c3', 'hex', () => resolve()));
      isTask = false;
      process.stdout.write('not mine');
    } finally {
      release();
      isTask = true;
      process.stdout.write('after');
      process.stdout.write = before;
    }
    expect(heard).toEqual(['stdout: text', 'stderr: error', `stdout: ${Buffer.from('c3', 'hex').toString()}`]);
    expect(through).toEqual(['not mine', 'after']);
  });
});

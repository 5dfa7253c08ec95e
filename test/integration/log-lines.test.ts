/** The program's own logger, in a process of its own, fed with what a hostile peer may send: both of its forms. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../support/build.ts';
import { Program } from '../support/process.ts';

const script = `
import { createLogger } from '${join(root, 'dist', 'cli', 'logger.js')}';
const log = await createLogger({ level: 'info', isTerminal: process.argv[1] === 'pretty', color: false });
const hostile = 'x\\n[2026-01-01 00:00:00.000] FATAL: forged\\r\\u001b[2J\\u009b31m\\u0007';
log.info({ task: hostile, [hostile]: { inside: [hostile] } }, 'First');
log.child({ taskId: hostile }).warn('Second ' + hostile);
log.error({ err: new Error(hostile), traceback: hostile }, 'Third');
log.error(new Error(hostile));
log.info({ task: 'n'.repeat(2 ** 20) }, 'Last');
`;

async function linesOf(form: 'json' | 'pretty'): Promise<readonly string[]> {
  await using program = new Program(process.execPath, ['--input-type=module', '-e', script, form], { cwd: root });
  const { code, stderr } = await program.ended;
  expect(code, stderr).toBe(0);
  return stderr.trimEnd().split('\n');
}

it.each(['json', 'pretty'] as const)(
  'no message draws on the terminal, forges a line or fills the disk: %s',
  async (form) => {
    const lines = await linesOf(form);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is not to be found
    expect(lines.filter((line) => /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(line))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('[2026-01-01'))).toEqual([]);
    expect(lines.every((line) => line.length < 20_000)).toBe(true);
    expect(lines.at(-1)).toMatch(/n{8192} \[cut\]/);
    const records = lines.filter((line) => (form === 'json' ? line.startsWith('{') : line.startsWith('[')));
    expect(records).toHaveLength(5);
  },
);

/** The README's list of what is missing shrinks when something arrives. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../../src/cli/program.ts';
import * as exported from '../../../src/index.ts';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const missing = /^## What is missing\n([\s\S]*?)\n## /m.exec(readme)?.[1] ?? '';

/** Commands that Celery has and that this program may get or not. */
const celery = ['amqp', 'graph', 'list', 'logtool', 'migrate', 'multi', 'purge', 'shell', 'upgrade'];

describe('what the README calls missing', () => {
  it('is every command of Celery that the program does not have, and no other', () => {
    const nowhere = { write: () => undefined };
    const program = createProgram('', { stdout: nowhere, stderr: nowhere, env: {} }, () => undefined);
    const there = new Set(program.commands.map((command) => command.name()));
    const named = codeOf(/Of Celery's command line ([^.]*)\./.exec(missing)?.[1] ?? '');
    expect(named.sort()).toEqual(celery.filter((name) => !there.has(name)));
  });

  it('names canvas as long as none of it is exported, and no longer', () => {
    const canvas = ['chain', 'group', 'chord', 'chunks'].filter((name) => name in exported);
    expect(canvas.length === 0).toBe(missing.includes('**Canvas**'));
  });
});

function codeOf(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

/** The table of commands against Celery's, and the clients against the table. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Control, type ControlCommand, commands, Inspect } from '../../../src/control/index.ts';
import { root } from '../../support/build.ts';

interface Row {
  readonly name: string;
  readonly type: string;
  readonly args: readonly { readonly name: string; readonly default: unknown }[];
  readonly variadic: string | null;
  readonly cli_signature: string | null;
  readonly default_timeout: number;
  readonly visible: boolean;
  readonly alias: string | null;
}

const rows: Row[] = JSON.parse(readFileSync(join(root, 'test/spec/control.json'), 'utf8')).commands;
const table: Readonly<Record<string, ControlCommand>> = commands;

function camelCase(name: string): string {
  return name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

describe('the table of commands', () => {
  it('has every command of Celery and no other', () => {
    expect(Object.keys(table).sort()).toEqual(rows.map(({ name }) => name).sort());
  });

  it.each(rows.map((row) => [row.name, row] as const))('describes %s as Celery does', (name, row) => {
    const command = table[name];
    expect(command).toMatchObject({ kind: row.type, defaultTimeout: row.default_timeout, isVisible: row.visible });
    expect(command?.alias ?? null).toBe(row.alias);
    expect(command?.variadic ?? null).toBe(row.variadic);
    expect(command?.signature ?? null).toBe(row.cli_signature);
    const known = new Set(command?.args.map((argument) => argument.name));
    for (const { name: argument } of row.args) expect(known).toContain(argument);
    if (row.variadic !== null) expect(known).toContain(row.variadic);
    for (const word of command?.words ?? []) expect(known).toContain(word);
    expect(command?.help).toMatch(/\.$/);
  });

  it('is a method of the clients, row by row', () => {
    const missing = Object.entries(table)
      .filter(([name, { kind }]) => !(camelCase(name) in (kind === 'inspect' ? Inspect : Control).prototype))
      .map(([name]) => name);
    expect(missing).toEqual([]);
  });
});

/** Every member of spec/result-api.json: here under its camelCase name, or with the reason why not. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as room from '../../../src/index.ts';
import { root } from '../../support/build.ts';

interface Row {
  readonly class: string;
  readonly member: string;
}

const spec = JSON.parse(readFileSync(join(root, 'test/spec/result-api.json'), 'utf8'));
const rows: readonly Row[] = spec.members;

const classes: Readonly<Record<string, { readonly prototype: object }>> = {
  AsyncResult: room.AsyncResult,
  ResultSet: room.ResultSet,
  GroupResult: room.GroupResult,
  EagerResult: room.EagerResult,
  AbortableAsyncResult: room.AbortableAsyncResult,
};

/** Fields of instances, which no prototype shows; other names; and what Python needs and JavaScript does not. */
const elsewhere: Readonly<Record<string, string>> = {
  'AsyncResult.id': 'a field',
  'AsyncResult.parent': 'a field',
  'AsyncResult.ignored': 'a field',
  'AsyncResult.then':
    'not thenable on purpose (API.md section 12): awaiting a handle gives the handle; get() is a promise',
  'ResultSet.then': 'as AsyncResult.then',
  'EagerResult.then': 'as AsyncResult.then',
  'AsyncResult.throw': 'raises into the promise that then() would have made',
  'ResultSet.__iter__/__getitem__/__len__': 'for … of, at(index), length',
  'GroupResult.id': 'a field',
  'GroupResult.parent': 'a field',
  'GroupResult.restore': 'static',
  'GroupResult.__bool__': 'an object is always true; length says whether it has members',
  'module.assert_will_not_block': 'what every wait here asks by itself',
  'AbortableTask.is_aborted': 'self.isAborted() of a running task, in task/',
};

function camelCase(name: string): string {
  return name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

describe('the result API', () => {
  it('has 81 members', () => {
    expect(rows).toHaveLength(81);
  });

  it.each(rows.map((row) => [`${row.class}.${row.member}`, row] as const))('has %s', (key, row) => {
    if (key in elsewhere) return;
    if (row.class === 'module') expect(room).toHaveProperty(camelCase(row.member));
    else expect(camelCase(row.member) in (classes[row.class]?.prototype ?? {})).toBe(true);
  });

  it('explains only what needs it', () => {
    const keys = new Set(rows.map((row) => `${row.class}.${row.member}`));
    expect(Object.keys(elsewhere).filter((key) => !keys.has(key))).toEqual([]);
  });
});

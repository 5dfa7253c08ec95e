import { describe, expect, it } from 'vitest';
import * as errors from '../../../src/core/errors.ts';

type AnyErrorClass = abstract new (...args: never[]) => errors.CeleryError;

/** Every class of the tree by name. */
const tree: Readonly<Record<string, unknown>> = { ...errors };
const classes = Object.entries(tree).filter(
  (entry): entry is [string, AnyErrorClass] => typeof entry[1] === 'function',
);
const make = (name: string, ErrorClass: AnyErrorClass): errors.CeleryError => {
  if (name === 'RemoteTaskError') {
    return new errors.RemoteTaskError({ excType: 'ValueError', excModule: 'builtins', excMessage: ['bad', 7] });
  }
  return new (ErrorClass as unknown as new (message: string) => errors.CeleryError)('text');
};

describe('every error', () => {
  it.each(classes)('%s has a name that survives minifiers, a code of its own and a module', (name, ErrorClass) => {
    const error = make(name, ErrorClass);
    expect(error).toBeInstanceOf(errors.CeleryError);
    expect(error).toBeInstanceOf(Error);
    expect(Object.hasOwn(ErrorClass, 'name')).toBe(true);
    expect(error.name).toBe(name);
    expect(error.code).toMatch(/^CELERY_[A-Z_]+$/);
    expect(error.excModule).toMatch(/^[a-z_.]+$/);
    expect(error.stack).toContain(`${name}`);
  });

  it('has a code that no other has', () => {
    const codes = classes.map(([name, ErrorClass]) => make(name, ErrorClass).code);
    expect(new Set(codes).size).toBe(codes.length);
  });

  it('stands where Celery puts it', () => {
    const base = (name: string): string => (Object.getPrototypeOf(tree[name]) as { name: string }).name;
    expect(base('Retry')).toBe('TaskPredicate');
    expect(base('Ignore')).toBe('TaskPredicate');
    expect(base('Reject')).toBe('TaskPredicate');
    for (const name of [
      'QueueNotFound',
      'NotRegistered',
      'AlreadyRegistered',
      'TimeoutError',
      'MaxRetriesExceededError',
      'TaskRevokedError',
      'InvalidTaskError',
      'ChordError',
      'IncompleteStream',
    ]) {
      expect(base(name)).toBe('TaskError');
    }
    expect(base('BackendStoreError')).toBe('BackendError');
    expect(base('BackendGetMetaError')).toBe('BackendError');
  });

  it('keeps its cause', () => {
    const cause = new Error('below');
    expect(new errors.EncodeError('above', { cause }).cause).toBe(cause);
    expect(new errors.BackendStoreError('above', { cause, taskId: 'a', state: 'SUCCESS' })).toMatchObject({
      cause,
      taskId: 'a',
      state: 'SUCCESS',
    });
  });
});

describe('Retry', () => {
  it('says when the next run is due', () => {
    expect(new errors.Retry(undefined, { when: 3 }).humanize()).toBe('in 3s');
    expect(new errors.Retry(undefined, { when: new Date(0) }).humanize()).toBe('at 1970-01-01T00:00:00.000Z');
    expect(new errors.Retry().humanize()).toBe('now');
  });

  it('has the error that made it as its cause', () => {
    const exc = new TypeError('x');
    expect(new errors.Retry('again', { exc, isEager: true })).toMatchObject({
      message: 'again',
      cause: exc,
      exc,
      isEager: true,
    });
  });
});

describe('Reject', () => {
  it('has a reason and does not requeue unless told', () => {
    expect(new errors.Reject('bad')).toMatchObject({ reason: 'bad', requeue: false, excMessage: ['bad', false] });
    expect(new errors.Reject('later', { requeue: true }).requeue).toBe(true);
  });
});

describe('NotRegistered', () => {
  it('names the task and those there are', () => {
    const error = new errors.NotRegistered('tasks.ad', ['tasks.add', 'tasks.mul']);
    expect(error.message).toBe("No task named 'tasks.ad' is registered here; known: tasks.add, tasks.mul.");
    expect(error.excMessage).toEqual(['tasks.ad']);
  });
});

describe('RemoteTaskError', () => {
  it('says what failed over there', () => {
    const error = new errors.RemoteTaskError({
      excType: 'MyError',
      excModule: 'proj.tasks',
      excMessage: ['boom', 7],
      remoteTraceback: 'Traceback …',
    });
    expect(error.message).toBe("MyError('boom', 7)");
    expect(error).toMatchObject({
      name: 'RemoteTaskError',
      excType: 'MyError',
      excModule: 'proj.tasks',
      excMessage: ['boom', 7],
      remoteTraceback: 'Traceback …',
    });
  });
});

describe('NonErrorThrown', () => {
  it.each([
    ['text', "'text' was thrown, which is no Error."],
    [undefined, 'undefined was thrown, which is no Error.'],
    [{ a: 1 }, '{"a":1} was thrown, which is no Error.'],
    [5n, 'a value of type bigint was thrown, which is no Error.'],
  ])('keeps %o', (value, message) => {
    expect(new errors.NonErrorThrown(value)).toMatchObject({ value, message });
  });

  it('does not repeat a novel', () => {
    expect(new errors.NonErrorThrown('x'.repeat(100_000)).message.length).toBeLessThan(600);
  });
});

import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import * as tree from '../../../src/core/errors.ts';
import { createCodec } from '../../../src/message/codec.ts';
import {
  createErrorRegistry,
  decodeResult,
  encodeResult,
  exceptionRepr,
  fromExceptionMap,
  toError,
  toExceptionMap,
  tracebackText,
} from '../../../src/message/index.ts';

describe('an error on its way out', () => {
  class PaymentRefused extends Error {}
  class Named extends Error {
    override name = 'Custom';
  }

  it.each([
    [new TypeError('bad'), { exc_type: 'TypeError', exc_message: ['bad'], exc_module: 'builtins' }],
    [new SyntaxError('bad'), { exc_type: 'SyntaxError', exc_message: ['bad'], exc_module: 'builtins' }],
    [new RangeError('bad'), { exc_type: 'RangeError', exc_message: ['bad'], exc_module: 'celery_ts.errors' }],
    [new Error('bad'), { exc_type: 'Error', exc_message: ['bad'], exc_module: 'celery_ts.errors' }],
    [new PaymentRefused('no'), { exc_type: 'PaymentRefused', exc_message: ['no'], exc_module: 'celery_ts.errors' }],
    [new Named('no'), { exc_type: 'Custom', exc_message: ['no'], exc_module: 'celery_ts.errors' }],
    [
      new DOMException('no', 'AbortError'),
      { exc_type: 'AbortError', exc_message: ['no'], exc_module: 'celery_ts.errors' },
    ],
    [
      new tree.TaskRevokedError('expired'),
      { exc_type: 'TaskRevokedError', exc_message: ['expired'], exc_module: 'celery.exceptions' },
    ],
    [new tree.NotRegistered('t'), { exc_type: 'NotRegistered', exc_message: ['t'], exc_module: 'celery.exceptions' }],
    [
      new tree.TimeLimitExceeded(2),
      { exc_type: 'TimeLimitExceeded', exc_message: [2], exc_module: 'billiard.exceptions' },
    ],
    [
      new tree.SoftTimeLimitExceeded(),
      { exc_type: 'SoftTimeLimitExceeded', exc_message: [], exc_module: 'billiard.exceptions' },
    ],
    [
      new tree.Reject(new Map(), { requeue: true }),
      { exc_type: 'Reject', exc_message: ['{}', true], exc_module: 'celery.exceptions' },
    ],
    [
      Object.assign(new Error('x'), { excType: 'KeyError', excModule: 'builtins', excMessage: ['k', 1] }),
      { exc_type: 'KeyError', exc_message: ['k', 1], exc_module: 'builtins' },
    ],
  ])('%s has its type, its parts and its module', (error, map) => {
    expect(toExceptionMap(error)).toEqual(map);
  });

  it.each([
    ['text', "'text' was thrown, which is no Error."],
    [undefined, 'undefined was thrown, which is no Error.'],
    [42n, 'a value of type bigint was thrown, which is no Error.'],
    [null, 'null was thrown, which is no Error.'],
    [{ code: 1 }, '{"code":1} was thrown, which is no Error.'],
  ])('that is none, %o, is wrapped', (thrown, message) => {
    expect(toError(thrown)).toBeInstanceOf(tree.NonErrorThrown);
    expect(toExceptionMap(thrown)).toEqual({
      exc_type: 'NonErrorThrown',
      exc_message: [message],
      exc_module: 'celery_ts.errors',
    });
  });

  it('of another realm is still an error', () => {
    const foreign: unknown = runInNewContext('new TypeError("far away")');
    expect(foreign instanceof Error).toBe(false);
    expect(toExceptionMap(foreign)).toMatchObject({ exc_type: 'TypeError', exc_message: ['far away'] });
  });

  it('has a repr where a part has no wire form', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    const error = Object.assign(new Error(), {
      excMessage: ['fine', () => 1, loop, new Map([[1, 2]]), 5n, new Date(0)],
    });
    const { exc_message } = toExceptionMap(error, createCodec());
    expect(exc_message.slice(0, 5)).toEqual(['fine', '<function>', '[[[[...]]]]', '{1: 2}', 5n]);
    expect(toExceptionMap(error)).toEqual(toExceptionMap(error, createCodec()));
    expect(() => createCodec().serialize(exc_message, 'json')).not.toThrow();
  });

  it('does not carry megabytes', () => {
    const { exc_message } = toExceptionMap(new Error('x'.repeat(5_000_000)));
    expect((exc_message[0] as string).length).toBeLessThan(70_000);
    expect(tracebackText(new Error('x'.repeat(5_000_000))).length).toBeLessThan(70_000);
    expect(exceptionRepr(new Error('x'.repeat(5_000_000))).length).toBeLessThanOrEqual(1024);
  });

  it('whatever it does when it is looked at, has a form', () => {
    const { proxy, revoke } = Proxy.revocable(new Error('x'), {});
    revoke();
    const angry = new Error('x');
    for (const key of ['stack', 'name', 'message', 'cause', 'excType', 'excMessage', 'constructor']) {
      Object.defineProperty(angry, key, {
        get() {
          throw new Error('do not look');
        },
      });
    }
    for (const thrown of [proxy, angry, Object.create(null), Symbol('x'), () => 1]) {
      expect(toExceptionMap(thrown)).toMatchObject({ exc_type: expect.any(String), exc_module: 'celery_ts.errors' });
      expect(tracebackText(thrown)).toBeTypeOf('string');
      expect(exceptionRepr(thrown)).toBeTypeOf('string');
    }
  });
});

describe('every class of the tree', () => {
  const codec = createCodec();
  const thrown: readonly Error[] = [
    ...Object.values(tree)
      .filter((value) => typeof value === 'function')
      .filter((ErrorClass) => ErrorClass !== tree.RemoteTaskError && ErrorClass !== tree.TimeLimitExceeded)
      .map((ErrorClass) => new (ErrorClass as unknown as new (message: string) => Error)('some text')),
    new tree.TimeLimitExceeded(5),
    new tree.RemoteTaskError({ excType: 'KeyError', excModule: 'builtins', excMessage: ['k', 1] }),
    new TypeError('t'),
    new SyntaxError('s'),
    new ReferenceError('r'),
    new RangeError('g'),
    new EvalError('e'),
    new URIError('u'),
    new AggregateError([new Error('in')], 'a'),
    new Error('plain'),
  ];

  it.each(thrown.map((error) => [error.name, error] as const))('%s comes back from the wire as itself', (_, error) => {
    const encoded = encodeResult(
      { taskId: 'id', state: 'FAILURE', result: error, traceback: 'text' },
      { form: 'rpc', serializer: 'json' },
      codec,
    );
    const { result } = decodeResult(encoded.body, encoded.contentType, encoded.contentEncoding, codec);
    expect((result as Error).constructor).toBe(error.constructor);
    expect((result as Error).name).toBe(error.name);
    expect(toExceptionMap(result)).toEqual(toExceptionMap(error));
    expect((result as { remoteTraceback?: string }).remoteTraceback).toBe('text');
  });
});

describe('an error from the wire', () => {
  it.each([
    [{ exc_type: 'ValueError', exc_message: ['bad', 7], exc_module: 'builtins' }, 'ValueError', 'builtins', ['bad', 7]],
    [{ exc_type: 'Outer.Inner', exc_message: 'text alone', exc_module: 'a.b' }, 'Outer.Inner', 'a.b', ['text alone']],
    [{ exc_type: 'Odd' }, 'Odd', 'builtins', []],
    [{ exc_type: 'TimeoutError', exc_message: ['t'], exc_module: 'builtins' }, 'TimeoutError', 'builtins', ['t']],
    ['just text', 'Exception', 'builtins', ['just text']],
    [null, 'Exception', 'builtins', [null]],
    [{ exc_type: 5 }, 'Exception', 'builtins', [{ exc_type: 5 }]],
    [{ exc_type: '__proto__', exc_module: 'constructor' }, '__proto__', 'constructor', []],
  ])('%o that no class stands for is a RemoteTaskError', (map, excType, excModule, excMessage) => {
    const error = fromExceptionMap(map, 'Traceback (most recent call last): …');
    expect(error).toBeInstanceOf(tree.RemoteTaskError);
    expect(error).toMatchObject({
      excType,
      excModule,
      excMessage,
      remoteTraceback: 'Traceback (most recent call last): …',
    });
  });

  it('is never looked up by name in the program', () => {
    for (const exc_type of ['Function', 'eval', 'Proxy', 'toString', 'process']) {
      expect(fromExceptionMap({ exc_type, exc_module: 'builtins', exc_message: ['x'] })).toBeInstanceOf(
        tree.RemoteTaskError,
      );
    }
  });

  it('becomes a registered class, and goes out again as it came', () => {
    class PaymentRefused extends Error {
      readonly reason: unknown;
      constructor(reason: unknown) {
        super(`refused: ${String(reason)}`);
        this.reason = reason;
      }
    }
    const registry = createErrorRegistry();
    registry.register('shop.errors', 'PaymentRefused', ([reason]) => new PaymentRefused(reason));
    const map = { exc_type: 'PaymentRefused', exc_message: ['card', 3], exc_module: 'shop.errors' };
    const error = fromExceptionMap(map, 'text', registry);
    expect(error).toBeInstanceOf(PaymentRefused);
    expect(error).toMatchObject({ reason: 'card', message: 'refused: card' });
    expect(toExceptionMap(error)).toEqual(map);
    expect(fromExceptionMap(map)).toBeInstanceOf(tree.RemoteTaskError);
    expect(fromExceptionMap({ exc_type: 'TypeError', exc_module: 'builtins' }, undefined, registry)).toBeInstanceOf(
      TypeError,
    );
  });

  it('is a RemoteTaskError when its class refuses the parts', () => {
    const registry = createErrorRegistry();
    registry.register('m', 'Picky', () => {
      throw new Error('no');
    });
    expect(fromExceptionMap({ exc_type: 'Picky', exc_module: 'm' }, undefined, registry)).toBeInstanceOf(
      tree.RemoteTaskError,
    );
  });
});

describe('tracebackText', () => {
  it('has the causes first and the error last, as Python prints them', () => {
    const text = tracebackText(new Error('top', { cause: new TypeError('middle', { cause: new RangeError('root') }) }));
    const places = ['RangeError: root', 'TypeError: middle', 'Error: top'].map((part) => text.indexOf(part));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places.every((place) => place >= 0)).toBe(true);
    expect(text.match(/The above exception was the direct cause of the following exception:/g)).toHaveLength(2);
    expect(text.endsWith('\n')).toBe(true);
  });

  it('takes causes that are no errors, and causes in a circle', () => {
    expect(tracebackText(new Error('top', { cause: 'disk full' }))).toContain("'disk full' was thrown");
    const one = new Error('one');
    const two = new Error('two', { cause: one });
    one.cause = two;
    expect(tracebackText(one).match(/Error: one/g)).toHaveLength(1);
  });

  it('shows the errors inside an AggregateError', () => {
    const text = tracebackText(new AggregateError([new Error('first'), new TypeError('second')], 'both'));
    expect(text).toContain('  | Error: first');
    expect(text).toContain('  | TypeError: second');
  });

  it('shows the traceback of another worker before its own', () => {
    const error = fromExceptionMap(
      { exc_type: 'ValueError', exc_message: ['x'] },
      'Traceback (most recent call last):\n  File "a.py"\n',
    );
    expect(tracebackText(error).indexOf('File "a.py"')).toBeGreaterThanOrEqual(0);
    expect(tracebackText(error).indexOf('File "a.py"')).toBeLessThan(tracebackText(error).indexOf('RemoteTaskError'));
  });

  it('leaves out frames that are whole modules in base64', () => {
    const error = new Error('x');
    const long = `data:text/javascript;base64,${'QUJD'.repeat(1000)}`;
    error.stack = `Error: x\n    at add (/app/tasks.ts:3:9)\n    at eval (${long}:1:1)\n    at async ${long}:2:2\n    at run (/app/run.js:1:1)`;
    expect(tracebackText(error)).toBe('Error: x\n    at add (/app/tasks.ts:3:9)\n    at run (/app/run.js:1:1)\n');
    error.stack = `Error: cannot load ${long}`;
    expect(tracebackText(error)).toBe('Error: cannot load <module>\n');
  });

  it('does without a stack', () => {
    const error = new TypeError('bare');
    Object.defineProperty(error, 'stack', { value: undefined });
    expect(tracebackText(error)).toBe('TypeError: bare\n');
  });
});

describe('exceptionRepr', () => {
  it.each([
    [new TypeError('no'), "TypeError('no')"],
    [new tree.NotRegistered('tasks.x'), "NotRegistered('tasks.x')"],
    [Object.assign(new Error(), { excType: 'MyError', excMessage: ['boom', 7] }), "MyError('boom', 7)"],
    [new tree.SoftTimeLimitExceeded(), 'SoftTimeLimitExceeded()'],
    ['text', 'NonErrorThrown("\'text\' was thrown, which is no Error.")'],
  ])('of %s is what Python would print', (thrown, text) => {
    expect(exceptionRepr(thrown)).toBe(text);
  });
});

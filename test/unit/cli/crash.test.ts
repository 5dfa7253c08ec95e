/** Whose an error is that nobody expected, and the line about it. `integration/crash.test.ts` has programs that end by one. */
import { describe, expect, it } from 'vitest';
import { describeCrash, originOf } from '../../../src/cli/crash.ts';

const home = '/opt/app/node_modules/celery-ts/dist/';
const ours = `    at Object.now (file://${home}core/system.js:24:25)`;
const timers = '    at listOnTimeout (node:internal/timers:581:17)';
const theirs = '    at async load (/opt/app/src/tasks.ts:3:7)';
const other = '    at Socket.<anonymous> (/opt/app/node_modules/pg/lib/client.js:9:1)';

describe('an error nobody expected', () => {
  it.each([
    ['ours', 'out of our code', [ours, timers]],
    ['ours', 'out of a package that we called', [other, ours, theirs]],
    ['ours', 'out of Node, asked by us', ['    at JSON.parse (<anonymous>)', '    at new Promise (<anonymous>)', ours]],
    ['the app', 'out of code of the app that we called', [theirs, ours]],
    ['the app', 'out of a package that the app called', [other, theirs, ours]],
    ['the app', 'out of a module of the app without a function', ['    at file:///opt/app/tasks.mjs:6:60', timers]],
    ['unknown', 'out of Node alone', ['    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)']],
    ['unknown', 'out of a package, called by Node', [other, timers]],
    ['unknown', 'without a stack', []],
  ] as const)('is %s when it came %s', (origin, _, lines) => {
    expect(originOf(['TypeError: x is not a function', ...lines].join('\n'), home)).toBe(origin);
  });

  it('is one line that says how to report it, without secrets and control characters; the stack only when asked for', () => {
    const error = new Error('no answer\nfrom amqp://me:s3cret@h \u001b[2J');
    error.stack = `Error: ${error.message}\n${timers}`;
    const brief = describeCrash(error, false);
    expect(brief).toEqual({
      text: expect.stringMatching(/^Error: no answer\\nfrom amqp:[^\n]*'celery-ts report'[^\n]*\n$/),
      exitCode: 70,
    });
    const whole = describeCrash(error, true);
    expect(whole.text).toContain(timers);
    for (const hidden of ['s3cret', '\u001b']) expect(brief.text + whole.text).not.toContain(hidden);
    expect(describeCrash('thrown', true)).toMatchObject({
      text: expect.stringMatching(/^Error: thrown \(/),
      exitCode: 70,
    });
  });

  it('of the app is its own failure', () => {
    const error = new Error('mine');
    error.stack = `Error: mine\n${theirs}`;
    expect(describeCrash(error, false)).toEqual({
      text: 'Error: mine (thrown by code of the app; --loglevel debug shows where)\n',
      exitCode: 1,
    });
  });

  it('is read in one pass, whatever its message', () => {
    const started = performance.now();
    originOf(`    at ${'('.repeat(2 ** 20)}\n${'    at a:1\n'.repeat(2 ** 16)}`, home);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

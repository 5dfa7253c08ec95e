import { describe, expect, it } from 'vitest';
import { clockTime, showLine } from '../../../../src/cli/dev/log-line.ts';
import { plainStyle } from '../../../../src/cli/style.ts';

const at = new Date(2026, 0, 2, 3, 4, 5).getTime();
const time = new Date(at).toISOString();

function shown(record: object | string, withDetails = false): string | undefined {
  const line = typeof record === 'string' ? record : JSON.stringify({ level: 30, time, ...record });
  return showLine(line, 'worker', '00:00:00', plainStyle, withDetails);
}

describe('the log of celery-ts dev', () => {
  it('shows a record as one line: time, speaker, sentence, fields', () => {
    expect(
      shown({
        name: 'celery.worker',
        task: 'tasks.add',
        runtimeSeconds: 0.0123456,
        ids: [1, 2],
        msg: 'Task succeeded',
      }),
    ).toBe('03:04:05 worker Task succeeded task=tasks.add runtimeSeconds=0.0123 ids=[ 1, 2 ]');
    expect(shown({ name: 'celery.beat', msg: 'Sent' })).toBe('03:04:05 beat   Sent');
    expect(clockTime(at)).toBe('03:04:05');
  });

  it('shows levels that ask for a look, and tracebacks below', () => {
    expect(shown({ level: 40, msg: 'Careful' })).toBe('03:04:05 worker WARNING Careful');
    expect(shown({ level: 50, msg: 'Failed', traceback: 'Error: boom\n    at a.ts:1\n' })).toBe(
      '03:04:05 worker ERROR Failed\n         Error: boom\n             at a.ts:1',
    );
    expect(shown({ level: 50, msg: 'Failed', err: { type: 'Error', stack: 'Error: x' } })).toMatch(
      /Failed\n +Error: x$/,
    );
  });

  it('shows what a task writes after its name, whatever level that has', () => {
    expect(shown({ level: 40, task: 'tasks.add', taskId: 'x', child: 7, stream: 'stdout', msg: 'adding' })).toBe(
      '03:04:05 worker tasks.add | adding',
    );
  });

  it('keeps the connections for --loglevel debug, unless they are in trouble', () => {
    const news = { name: 'celery.amqp.connection', msg: 'Connected to the broker' };
    expect(shown(news)).toBeUndefined();
    expect(shown(news, true)).toMatch(/Connected/);
    expect(shown({ ...news, level: 40, msg: 'Lost' })).toMatch(/WARNING Lost/);
  });

  it('shows other lines as they are, and no control characters', () => {
    expect(shown('worker: Warm shutdown (SIGTERM)')).toBe('00:00:00 worker Warm shutdown (SIGTERM)');
    expect(shown('{"level":30 no json')).toBe('00:00:00 worker {"level":30 no json');
    expect(shown({ msg: '\u001b[2Jgone', result: '\u0007' })).toBe('03:04:05 worker \\x1b[2Jgone result=\\x07');
  });
});

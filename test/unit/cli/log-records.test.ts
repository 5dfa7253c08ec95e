import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { LogAudit } from '../../../src/cli/log-audit.ts';
import { LogReader, type LogRecord } from '../../../src/cli/log-records.ts';
import type { Outcome } from '../../../src/execution/index.ts';
import { logOutcome, taskSentences } from '../../../src/worker/outcome-log.ts';
import type { Request } from '../../../src/worker/request.ts';

function read(text: string): LogRecord[] {
  const records: LogRecord[] = [];
  const reader = new LogReader((record) => records.push(record));
  for (const line of text.split('\n')) reader.feed(line);
  reader.end();
  return records;
}

/** The line that our worker writes for an outcome. */
function ourLine(outcome: Outcome): string {
  let line = '';
  const write = (text: string): void => {
    line += text;
  };
  const log = pino({ base: null }, { write });
  const delivery = { envelope: { body: Buffer.from('x') } };
  const request = { name: 'tasks.add', id: 'id-1', message: { crashes: 0 }, delivery } as unknown as Request;
  logOutcome(log, request, outcome);
  return line.trimEnd();
}

/** Every kind there is, by the type. */
const outcomes: { readonly [K in Outcome['kind']]: readonly [Extract<Outcome, { kind: K }>, string] } = {
  succeeded: [{ kind: 'succeeded', runtimeSeconds: 1, resultRepr: '3' }, 'succeeded'],
  failed: [
    {
      kind: 'failed',
      runtimeSeconds: 1,
      exceptionRepr: "Oops('x')",
      traceback: 'Oops: x\n    at y',
      isExpected: false,
    },
    'failed',
  ],
  retrying: [{ kind: 'retrying', reasonRepr: 'Oops()', traceback: '', delaySeconds: 3 }, 'retried'],
  ignored: [{ kind: 'ignored' }, 'ignored'],
  rejected: [{ kind: 'rejected', requeue: false, reason: 'no' }, 'rejected'],
  undecodable: [{ kind: 'undecodable', reason: 'not JSON' }, 'rejected'],
  'timed out': [{ kind: 'timed out', limitSeconds: 5 }, 'timed out'],
  lost: [{ kind: 'lost', reason: 'SIGKILL' }, 'lost'],
  terminated: [{ kind: 'terminated', killSignal: 'SIGTERM' }, 'terminated'],
  returned: [{ kind: 'returned', reason: 'cold shutdown' }, 'returned'],
};

/** Written by a Celery 5.7 worker with `-l INFO`, shortened. */
const python = `
 -------------- celery@host v5.7
[2026-11-21 09:20:54,784: INFO/MainProcess] Connected to amqp://guest:**@127.0.0.1:5672//
[2026-11-21 09:20:59,780: INFO/MainProcess] Task p.add[a1] received
[2026-11-21 09:20:59,785: INFO/ForkPoolWorker-1] Task p.add[a1] succeeded in 0.0007097779998730402s: 1
[2026-11-21 09:20:59,790: INFO/MainProcess] Task p.boom[b1] received
[2026-11-21 09:20:59,795: ERROR/ForkPoolWorker-1] Task p.boom[b1] raised unexpected: ValueError('no\\nluck [x]')
Traceback (most recent call last):
  File "/home/me/tasks.py", line 8, in boom
    def boom(): raise ValueError('no\\nluck [x]')
ValueError: no
luck [x]
[2026-11-21 09:20:59,804: INFO/MainProcess] Task p.again[c1] received
[2026-11-21 09:20:59,807: INFO/ForkPoolWorker-1] Task p.again[c1] retry: Retry in 0s: KeyError('k')
[2026-11-21 09:20:59,808: INFO/MainProcess] Task p.again[c1] received
[2026-11-21 09:20:59,809: INFO/ForkPoolWorker-1] Task p.rej[d1] reject requeue=False: nope
[2026-11-21 09:20:59,818: INFO/ForkPoolWorker-1] Task p.ign[e1] ignored
[2026-11-21 09:20:59,819: INFO/MainProcess] Discarding revoked task: p.add[f1]
[2026-11-21 09:21:00,828: ERROR/MainProcess] Hard time limit (1s) exceeded for p.slow[g1]
[2026-11-21 09:21:00,829: INFO/MainProcess] Received task: p.old[h1]
`;

describe('a line of our log', () => {
  it.each(Object.entries(outcomes))('of an outcome that is %s is understood', (_, [outcome, news]) => {
    const line = ourLine(outcome);
    expect(read(line)).toEqual([
      expect.objectContaining({ text: line, news, task: 'tasks.add', id: 'id-1' }) satisfies unknown,
    ]);
  });

  it('has its traceback, and a line for people', () => {
    const [record] = read(ourLine(outcomes.failed[0]));
    expect(record?.traceback).toBe('Oops: x\n    at y');
    expect(record?.line).toMatch(/^\S+ ERROR tasks\.add\[id-1\] Task raised an unexpected error: Oops\('x'\)$/);
  });

  it('is understood as pino-pretty writes it, in colours too', () => {
    const pretty = `[2026-11-21 09:19:58.085] \u001b[32mINFO\u001b[39m (celery.worker): \u001b[36m${taskSentences.received}\u001b[39m {"task":"tasks.add","taskId":"id-1"}`;
    expect(read(pretty)).toEqual([expect.objectContaining({ news: 'received', task: 'tasks.add', id: 'id-1' })]);
  });
});

describe("a line of Celery's log", () => {
  it('is understood, with the traceback below it', () => {
    const records = read(python);
    expect(records.filter(({ news }) => news !== undefined).map(({ id, news }) => `${id} ${news}`)).toEqual([
      'a1 received',
      'a1 succeeded',
      'b1 received',
      'b1 failed',
      'c1 received',
      'c1 retried',
      'c1 received',
      'd1 rejected',
      'e1 ignored',
      'f1 revoked',
      'g1 timed out',
      'h1 received',
    ]);
    expect(records.filter(({ traceback }) => traceback !== undefined)).toEqual([
      expect.objectContaining({ id: 'b1', traceback: expect.stringMatching(/^Traceback[\s\S]*luck \[x\]$/) }),
    ]);
  });
});

describe('a log added up', () => {
  it('counts tasks by name and by what became of them, and knows which did not end', () => {
    const audit = new LogAudit();
    for (const record of read(python)) audit.add(record);
    expect(audit.totals).toMatchObject({ total: 8, completed: 6, succeeded: 1, errors: 4 });
    expect(audit.totals.tasks[0]).toEqual({ task: 'p.add', counts: { received: 1, succeeded: 1, revoked: 1 } });
    expect(audit.incomplete).toEqual([
      { id: 'c1', task: 'p.again' },
      { id: 'h1', task: 'p.old' },
    ]);
  });

  it('holds no task for open that was retried or given back', () => {
    const audit = new LogAudit();
    const received = JSON.stringify({ msg: taskSentences.received, task: 'tasks.add', taskId: 'id-1' });
    for (const kind of ['retrying', 'returned'] as const) {
      for (const record of read(`${received}\n${ourLine(outcomes[kind][0])}`)) audit.add(record);
      expect(audit.incomplete).toEqual([]);
    }
    for (const record of read(received)) audit.add(record);
    expect(audit.incomplete).toHaveLength(1);
  });
});

it('a file that is no log has no tasks in it, and is given back whole', () => {
  const text = '{"msg":\nnot json\n[not a time] Task a[b] received\n{"msg":7}';
  const records = read(text);
  expect(records.map(({ news }) => news)).toEqual(records.map(() => undefined));
  expect(records.map((record) => record.text).join('\n')).toBe(text);
});

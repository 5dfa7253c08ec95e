/** Events as `celery events --dump` prints them. */
import { describe, expect, it } from 'vitest';
import { EventLines, pythonTime } from '../../../src/cli/event-line.ts';
import type { ReceivedEvent } from '../../../src/events/index.ts';

function anEvent(type: string, more: Record<string, unknown> = {}): ReceivedEvent {
  return {
    type,
    hostname: 'w1@host',
    timestamp: Date.UTC(2026, 0, 31, 12, 0, 0) + 250.5,
    utcoffset: 0,
    pid: 7,
    clock: 5,
    ...more,
    localReceived: 1_769_860_800_260,
  };
}

const tail = 'local_received=1769860800.26, pid=7';

describe('an event as a line', () => {
  it('says who, when, what, and every other field by its name on the wire', () => {
    const lines = new EventLines();
    expect(lines.line(anEvent('worker-heartbeat', { swIdent: 'py-celery', loadavg: [1, 0.5, 0], active: null }))).toBe(
      `w1@host [2026-01-31 12:00:00.250500+00:00] heartbeat: active=None, clock=5, loadavg=[1, 0.5, 0], ${tail}, sw_ident=py-celery, utcoffset=0`,
    );
    expect(lines.line(anEvent('worker-online'))).toContain('] started: clock=5');
    expect(lines.line(anEvent('worker-offline'))).toContain('] shutdown: clock=5');
    expect(lines.line(anEvent('shop-order-paid', { amount: 7 }))).toContain('] shop order paid: amount=7, clock=5');
  });

  it('names the task, and remembers its name for the events that follow', () => {
    const lines = new EventLines();
    const received = { uuid: 'a', name: 'tasks.add', args: '(1, 2)', kwargs: '{}', rootId: 'a', parentId: null };
    expect(lines.line(anEvent('task-received', received))).toBe(
      `w1@host [2026-01-31 12:00:00.250500+00:00] task received: tasks.add(a) args=(1, 2) kwargs={} clock=5, local_received=1769860800.26, parent_id=None, pid=7, root_id=a, utcoffset=0`,
    );
    expect(lines.line(anEvent('task-succeeded', { uuid: 'a', result: '3', runtime: 0.5 }))).toBe(
      `w1@host [2026-01-31 12:00:00.250500+00:00] task succeeded: tasks.add(a) args=(1, 2) kwargs={} clock=5, ${tail}, result=3, runtime=0.5, utcoffset=0`,
    );
    expect(lines.line(anEvent('task-started', { uuid: 'unheard' }))).toContain('task started: unheard clock=5');
  });

  it('forgets the names of old tasks', () => {
    const lines = new EventLines();
    for (let n = 0; n < 5000; n += 1) lines.line(anEvent('task-received', { uuid: `t${n}`, name: 'x' }));
    expect(lines.line(anEvent('task-started', { uuid: 't0' }))).toContain('started: t0 clock');
    expect(lines.line(anEvent('task-started', { uuid: 't4999' }))).toContain('started: x(t4999)');
  });

  it('stays one line without control characters, whatever a host says', () => {
    const text = new EventLines().line(anEvent('task-failed', { uuid: 'a', traceback: 'one\ntwo\u001b[2J' }));
    expect(text).toContain('traceback=one\\ntwo\\x1b[2J');
  });

  it('writes times as Python does', () => {
    const noon = Date.UTC(2026, 0, 31, 12);
    expect(pythonTime(noon)).toBe('2026-01-31 12:00:00+00:00');
    expect(pythonTime(noon + 7)).toBe('2026-01-31 12:00:00.007000+00:00');
    expect(pythonTime(1e300)).toBe('?');
  });
});

import { describe, expect, it } from 'vitest';
import type { TaskMessage } from '../../../src/message/index.ts';
import type { AnyTask } from '../../../src/task/index.ts';
import { decide, type WorkerView } from '../../../src/worker/strategy.ts';

const now = 1_700_000_000_000;
const task = { name: 'tasks.add' } as AnyTask;
const aMessage = (fields: Partial<TaskMessage> = {}): TaskMessage =>
  ({ id: 'a1', task: 'tasks.add', retries: 0, ...fields }) as TaskMessage;
const aView = (fields: Partial<WorkerView> = {}): WorkerView => ({
  isRevoked: () => false,
  nextTurn: (_name, at) => at,
  holdsTurns: () => true,
  longestHoldMs: 2_000,
  ...fields,
});

describe('the decision on a message', () => {
  it('runs what is due and allowed', () => {
    expect(decide(aMessage(), task, aView(), now)).toEqual({ kind: 'run' });
    expect(decide(aMessage({ eta: now }), task, aView(), now)).toEqual({ kind: 'run' });
  });

  it('discards a task that nobody registered, even a revoked one, as unregistered', () => {
    const view = aView({ isRevoked: () => true });
    expect(decide(aMessage(), undefined, view, now)).toEqual({ kind: 'discard', why: 'unregistered' });
  });

  it('discards a revoked task even when its eta has not come', () => {
    const view = aView({ isRevoked: ({ id }) => id === 'a1' });
    expect(decide(aMessage({ eta: now + 1_000 }), task, view, now)).toEqual({ kind: 'discard', why: 'revoked' });
  });

  it('discards what has expired, to the millisecond', () => {
    expect(decide(aMessage({ expires: now }), task, aView(), now)).toEqual({ kind: 'discard', why: 'expired' });
    expect(decide(aMessage({ expires: now + 1 }), task, aView(), now)).toEqual({ kind: 'run' });
  });

  it('holds a near eta and parks a far one', () => {
    const near = now + 2_000;
    expect(decide(aMessage({ eta: near }), task, aView(), now)).toEqual({ kind: 'hold', until: near, why: 'eta' });
    expect(decide(aMessage({ eta: near + 1 }), task, aView(), now)).toEqual({
      kind: 'park',
      until: near + 1,
      why: 'eta',
    });
  });

  it('asks for a turn only once the eta has come', () => {
    const asked: number[] = [];
    const nextTurn = (_name: string, at: number): number => {
      asked.push(at);
      return at + 500;
    };
    const view = aView({ nextTurn });
    const message = aMessage({ eta: now + 1_000 });
    expect(decide(message, task, view, now)).toMatchObject({ kind: 'hold', why: 'eta' });
    expect(asked).toEqual([]);
    expect(decide(message, task, view, now + 1_000)).toMatchObject({ kind: 'hold', why: 'rate limit' });
    expect(asked).toEqual([now + 1_000]);
  });

  it('holds a task until its turn, and parks it when too many wait here', () => {
    const until = now + 500;
    const view = aView({ nextTurn: (name) => (name === 'tasks.add' ? until : now) });
    expect(decide(aMessage(), task, view, now)).toEqual({ kind: 'hold', until, why: 'rate limit' });
    const full = { ...view, holdsTurns: () => false };
    expect(decide(aMessage(), task, full, now)).toEqual({ kind: 'park', until, why: 'rate limit' });
  });
});

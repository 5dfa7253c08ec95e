import { describe, expect, it } from 'vitest';
import { Abort } from '../../../src/execution/abort.ts';

describe('the abort of a run', () => {
  it('aborts the signal that somebody took before', () => {
    const abort = new Abort();
    const { signal } = abort;
    expect([signal.aborted, abort.reason]).toEqual([false, undefined]);
    abort.abort(new Error('enough'));
    expect(signal.reason).toEqual(new Error('enough'));
    expect(abort.signal).toBe(signal);
  });

  it('shows in a signal that is taken afterwards, with the first reason', () => {
    const abort = new Abort();
    abort.abort(new Error('first'));
    abort.abort(new Error('second'));
    expect(abort.signal.aborted).toBe(true);
    expect(abort.signal.reason).toBe(abort.reason);
    expect(abort.reason).toEqual(new Error('first'));
  });
});

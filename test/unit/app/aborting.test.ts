/** Asking a task to stop by itself, and states that only its run knows, through an app. */
import { describe, expect, it } from 'vitest';
import { AbortableAsyncResult, Celery, Ignore, Reject } from '../../../src/index.ts';

describe('a task that asks whether it is to stop', () => {
  it('hears of it once somebody has stored ABORTED under its id', async () => {
    await using app = new Celery('abortable', { resultBackend: 'cache+memory://' });
    const answers: boolean[] = [];
    const patient = app.task('patient', { bind: true }, async (self) => {
      answers.push(await self.isAborted());
      await new AbortableAsyncResult(self.request.id, app).abort();
      answers.push(await self.isAborted());
      return 'stopped early';
    });
    const result = await patient.apply();
    expect(await result.get()).toBe('stopped early');
    expect(answers).toEqual([false, true]);
    const handle = new AbortableAsyncResult(result.id, app);
    expect([await handle.isAborted(), await handle.ready()]).toEqual([true, true]);
  });

  it('cannot be asked over rpc://, which says so', async () => {
    await using app = new Celery('abortable', { resultBackend: 'rpc://' });
    await expect(new AbortableAsyncResult('a', app).abort()).rejects.toThrow(/and rpc is none: set resultBackend/);
  });
});

describe('the end of a run', () => {
  it.each([
    ['Ignore', () => new Ignore('nobody'), 'IGNORED'],
    ['Reject', () => new Reject('no', { requeue: false }), 'REJECTED'],
  ])('by %s is a state that the signals tell and no backend keeps', async (_, reason, wanted) => {
    await using app = new Celery('ends', { resultBackend: 'cache+memory://' });
    const states: unknown[] = [];
    app.signals.taskPostrun.connect(({ state }) => void states.push(state));
    const task = app.task('ends', { storeEagerResult: true }, () => {
      throw reason();
    });
    const result = await task.apply();
    expect([await result.state(), ...states]).toEqual([wanted, wanted]);
    expect(await app.AsyncResult(result.id).state()).toBe('PENDING');
  });
});

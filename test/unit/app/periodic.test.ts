/** `app.addPeriodicTask`, `app.beat` and `app.onAfterConfigure`. */
import { describe, expect, it } from 'vitest';
import { Celery } from '../../../src/app/index.ts';
import { crontab, currentArguments } from '../../../src/schedules/index.ts';
import { manualSystem } from '../../support/manual-system.ts';

describe('addPeriodicTask', () => {
  it('takes a signature with its arguments and options, and more of both', () => {
    const { app, add } = anApp();
    const options: object = { queue: 'slow', expires: 5 };
    const call = add.s(2).set(options);
    const name = app.addPeriodicTask(crontab({ hour: 7 }), call, {
      name: 'x',
      args: [1],
      kwargs: { k: 3 },
      expires: 10,
    });
    const entry = app.beat.get(name) ?? expect.fail('no entry');
    expect(entry).toMatchObject({
      name: 'x',
      task: 'tasks.add',
      options: { queue: 'slow', expires: 10 },
      catchUp: 'one',
    });
    expect(currentArguments(entry)).toEqual({ args: [1, 2], kwargs: { k: 3 } });
    expect(String(entry.schedule)).toBe('<crontab: * 7 * * * (m/h/dM/MY/d)>');
  });

  it('takes a task, seconds, and what is the entry alone', () => {
    const { app, add } = anApp();
    app.addPeriodicTask(30, add, { name: 'x', args: [1, 2], relative: true, catchUp: 'skip' });
    expect(app.beat.get('x')).toMatchObject({ task: 'tasks.add', args: [1, 2], options: {}, catchUp: 'skip' });
    expect(String(app.beat.get('x')?.schedule)).toBe('<freq: 30.00 seconds, relative>');
  });

  it('leaves the arguments of an immutable signature alone', () => {
    const { app, add } = anApp();
    app.addPeriodicTask(30, add.si(1, 2), { name: 'x', args: [9] });
    expect(app.beat.get('x')?.args).toEqual([1, 2]);
  });

  it('names an entry by its call, and warns when that was there', () => {
    const { app, add, system } = anApp();
    expect(app.addPeriodicTask(30, add.s(1, 'b'))).toBe("tasks.add(1, 'b')");
    app.addPeriodicTask(30, add.s(1, 2), { name: 'n' });
    app.addPeriodicTask(60, add.s(1, 2), { name: 'n' });
    expect(system.logger.records).toEqual([]);
    app.addPeriodicTask(60, add.s(1, 'b'));
    expect(system.logger.find('This call was scheduled before')).toHaveLength(1);
    expect(app.beat.entries.size).toBe(2);
  });

  it('refuses a schedule that is none', () => {
    const { app, add } = anApp();
    expect(() => app.addPeriodicTask('every day', add.s(1, 2))).toThrow(
      /Beat entry 'tasks.add\(1, 2\)': .*cron expression/,
    );
  });

  it('has its place when the settings are there', async () => {
    const { app, add } = anApp();
    app.onAfterConfigure.connect(({ sender, source }) => {
      sender.addPeriodicTask(source.beatMaxLoopInterval + 5, add.s(1, 2), { name: 'x' });
    });
    await app.loaded;
    expect(String(app.beat.get('x')?.schedule)).toBe('<freq: 15.00 seconds>');
  });
});

function anApp() {
  const system = manualSystem();
  const app = new Celery('tasks', { beatMaxLoopInterval: 10 }, { system });
  const add = app.task('tasks.add', (x: number, y: number | string) => `${x}${y}`);
  return { app, add, system };
}

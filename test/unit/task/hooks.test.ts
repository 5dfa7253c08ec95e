/** Hooks in both forms, in Celery's order; and what a task class's `this` is while it runs. */
import { EventEmitter, once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Celery, currentTask, Ignore, Reject, TaskBase, type TaskOptions } from '../../../src/index.ts';
import { until } from '../../support/until.ts';

type Entry = readonly [name: string, ...given: unknown[]];

/** Writes down which hook was called with what, `self` left out. */
function hooksInto(log: Entry[]) {
  const note =
    (name: string) =>
    (_self: unknown, ...given: unknown[]) =>
      void log.push([name, ...given]);
  return {
    beforeStart: note('beforeStart'),
    onSuccess: note('onSuccess'),
    onFailure: note('onFailure'),
    onRetry: note('onRetry'),
    afterReturn: note('afterReturn'),
  } satisfies TaskOptions;
}

const body = (kind: string): unknown => {
  if (kind === 'fail') throw new TypeError('not today');
  if (kind === 'ignore') throw new Ignore();
  if (kind === 'reject') throw new Reject('no');
  if (kind === 'retry') throw currentTask()?.retry({ countdown: 0, maxRetries: 1, exc: new RangeError('again') });
  return kind;
};

/** One app, with the signals around a body in the same log. */
function anApp(log: Entry[]): Celery {
  const app = new Celery('t');
  app.signals.taskPrerun.connect(() => void log.push(['prerun']));
  app.signals.taskPostrun.connect(() => void log.push(['postrun']));
  app.signals.taskSuccess.connect(() => void log.push(['success signal']));
  app.signals.taskFailure.connect(() => void log.push(['failure signal']));
  app.signals.taskRetry.connect(() => void log.push(['retry signal']));
  return app;
}

class Logged extends TaskBase {
  override name = 't.do';
  entries: Entry[] = [];
  run(kind: string, ..._more: unknown[]): unknown {
    this.entries.push(['run']);
    return body(kind);
  }
  override beforeStart(...given: unknown[]): void {
    this.entries.push(['beforeStart', ...given]);
  }
  override onSuccess(...given: unknown[]): void {
    this.entries.push(['onSuccess', ...given]);
  }
  override onFailure(...given: unknown[]): void {
    this.entries.push(['onFailure', ...given]);
  }
  override onRetry(...given: unknown[]): void {
    this.entries.push(['onRetry', ...given]);
  }
  override afterReturn(...given: unknown[]): void {
    this.entries.push(['afterReturn', ...given]);
  }
}

const forms: [string, (log: Entry[]) => { apply: (args: [string], options: object) => Promise<unknown> }][] = [
  [
    'the function form',
    (log) =>
      anApp(log).task('t.do', hooksInto(log), (kind: string, ..._more: unknown[]) => {
        log.push(['run']);
        return body(kind);
      }) as never,
  ],
  [
    'the class form',
    (log) => {
      const task = new Logged();
      task.entries = log;
      return anApp(log).registerTask(task) as never;
    },
  ],
];

describe.each(forms)('hooks of %s', (_, make) => {
  const traced = async (kind: string): Promise<{ log: Entry[]; names: string[] }> => {
    const log: Entry[] = [];
    await make(log).apply([kind], { taskId: 'id-1', kwargs: { k: 1 } });
    return { log, names: log.map(([name]) => name) };
  };
  const message = ['id-1', expect.anything(), { k: 1 }] as const;

  it('surround a success in the order of Celery', async () => {
    const { log, names } = await traced('ok');
    expect(names).toEqual(['prerun', 'beforeStart', 'run', 'onSuccess', 'success signal', 'afterReturn', 'postrun']);
    expect(log[1]).toEqual(['beforeStart', 'id-1', ['ok'], { k: 1 }]);
    expect(log[3]).toEqual(['onSuccess', 'ok', ...message]);
    expect(log[5]).toEqual(['afterReturn', 'SUCCESS', 'ok', ...message, undefined]);
  });

  it('surround a failure', async () => {
    const { log, names } = await traced('fail');
    expect(names).toEqual(['prerun', 'beforeStart', 'run', 'onFailure', 'failure signal', 'afterReturn', 'postrun']);
    const traceback = expect.stringContaining('TypeError: not today\n    at ');
    expect(log[3]).toEqual(['onFailure', new TypeError('not today'), ...message, traceback]);
    expect(log[5]).toEqual(['afterReturn', 'FAILURE', new TypeError('not today'), ...message, traceback]);
  });

  it('tell of a retry, and afterReturn of the last run only', async () => {
    const { log, names } = await traced('retry');
    expect(names.slice(0, 6)).toEqual(['prerun', 'beforeStart', 'run', 'onRetry', 'retry signal', 'postrun']);
    expect(names.slice(6)).toEqual([
      'prerun',
      'beforeStart',
      'run',
      'onFailure',
      'failure signal',
      'afterReturn',
      'postrun',
    ]);
    expect(log[3]).toEqual([
      'onRetry',
      new RangeError('again'),
      ...message,
      expect.stringContaining('RangeError: again'),
    ]);
  });

  it.each(['ignore', 'reject'])('are not called when a body asks to %s', async (kind) => {
    expect((await traced(kind)).names).toEqual(['prerun', 'beforeStart', 'run', 'postrun']);
  });
});

describe('onReplace', () => {
  it('hears of what takes the place of the task, in both forms', async () => {
    const app = new Celery('t', { taskAlwaysEager: true });
    const heard: unknown[] = [];
    const other = app.task('t.other', (x: number) => x);
    const plain = app.task(
      't.plain',
      { bind: true, onReplace: (self, signature) => void heard.push([self.name, signature.task, signature.args]) },
      (self, x: number): number => self.replace(other.s(x)),
    );
    class Replaced extends TaskBase {
      override name = 't.class';
      run(x: number): number {
        return this.replace(other.s(x));
      }
      override onReplace(signature: { task: string; args: readonly unknown[] }): void {
        heard.push([this.self.name, signature.task, signature.args]);
      }
    }
    expect(await (await plain.apply([1])).get()).toBe(1);
    expect(await (await app.registerTask(Replaced).apply([2])).get()).toBe(2);
    expect(heard).toEqual([
      ['t.plain', 't.other', [1]],
      ['t.class', 't.other', [2]],
    ]);
  });
});

describe('a hook', () => {
  it('of beforeStart that throws fails the task, and the body does not run', async () => {
    const log: Entry[] = [];
    const beforeStart = async (): Promise<void> => {
      throw new Error('not ready');
    };
    const task = anApp(log).task('t.do', { ...hooksInto(log), beforeStart }, () => void log.push(['run']));
    expect(await (await task.apply()).state()).toBe('FAILURE');
    expect(log.map(([name]) => name)).toEqual(['prerun', 'onFailure', 'failure signal', 'afterReturn', 'postrun']);
  });

  it.each(['onSuccess', 'afterReturn'] as const)(
    'of %s that throws leaves the result alone and is reported',
    async (name) => {
      const log: Entry[] = [];
      const app = anApp(log);
      app.signals.taskInternalError.connect(({ exception }) => void log.push(['internal', exception]));
      const oops = new Error('oops');
      const task = app.task('t.do', { [name]: () => Promise.reject(oops) }, () => 7);
      expect(await (await task.apply()).get()).toBe(7);
      expect(log).toContainEqual(['internal', oops]);
      expect(log.at(-1)).toEqual(['postrun']);
    },
  );

  it('gets the task that runs as self', async () => {
    const app = new Celery('t');
    const seen: unknown[] = [];
    const task = app.task(
      't.do',
      { onSuccess: (self, result) => void seen.push(self.name, self.request.id, self.request.args, result) },
      (x: number) => x,
    );
    await task.apply([1], { taskId: 'id-1' });
    expect(seen).toEqual(['t.do', 'id-1', [1], 1]);
  });
});

describe('a task class', () => {
  it('has its options as fields, of its base classes and by getters too', () => {
    abstract class Careful extends TaskBase {
      override maxRetries = 9;
      override autoretryFor = [RangeError];
      override get rateLimit(): string {
        return '5/m';
      }
    }
    class Fetch extends Careful {
      override queue = 'web';
      run(): void {}
    }
    const { options, name } = new Celery('shop').registerTask(Fetch);
    expect(name).toBe('shop.Fetch');
    expect(options).toMatchObject({ maxRetries: 9, autoretryFor: [RangeError], rateLimit: '5/m', queue: 'web' });
  });

  it('refuses an ill-typed field by name', () => {
    class Fetch extends TaskBase {
      override priority = 1000;
      run(): void {}
    }
    expect(() => new Celery('shop').registerTask(Fetch)).toThrow(/shop\.Fetch.*'priority' should be a whole number/);
  });

  it('is one object for all runs, and knows each run by this.request', async () => {
    class Fetch extends TaskBase {
      connections = 0;
      seen: unknown[] = [];
      async run(release: Promise<unknown>, own: string): Promise<string> {
        this.connections += 1;
        await release;
        this.seen.push([own, this.request.id, this.request.args[1]]);
        return this.request.id;
      }
    }
    const app = new Celery('t');
    const fetch = new Fetch();
    const task = app.registerTask(fetch);
    const gate = new EventEmitter();
    const call = (id: string): unknown => runDirectly(app, id, () => task(once(gate, id), id));
    const runs = [call('a'), call('b')];
    await until(() => fetch.connections === 2, { what: 'both to run' });
    for (const id of ['b', 'a']) {
      gate.emit(id);
      await runs[id === 'a' ? 0 : 1];
    }
    expect(fetch.seen).toEqual([
      ['b', 'b', 'b'],
      ['a', 'a', 'a'],
    ]);
  });

  it('says so when this.request is read outside of a run', () => {
    expect(() => new Logged().request).toThrow(/Logged: this works only while the task runs/);
  });

  it('may retry by this.retry and be wrapped by a base class’s call', async () => {
    const log: string[] = [];
    abstract class Audited extends TaskBase {
      override call(...args: never[]): unknown {
        log.push(`call ${this.request.retries}`);
        return super.call(...args);
      }
    }
    class Once extends Audited {
      run(x: number): number {
        if (this.request.retries === 0) throw this.retry({ countdown: 0 });
        return x;
      }
    }
    const result = await new Celery('t').registerTask(Once).apply([7]);
    expect([await result.get(), log]).toEqual([7, ['call 0', 'call 1']]);
  });

  it('is told of its app by onBound and may name its runs by shadowName', async () => {
    const app = new Celery('t');
    class Fetch extends TaskBase {
      bound: unknown;
      prefix = 'fetch of';
      override onBound(bound: Celery): void {
        this.bound = bound;
      }
      override shadowName([url]: readonly unknown[]): string {
        return `${this.prefix} ${url}`;
      }
      run(_url: string): void {}
    }
    const fetch = new Fetch();
    const task = app.registerTask(fetch);
    expect(fetch.bound).toBe(app);
    expect(app.prepare(task.name, ['x'], {}).envelope.headers.shadow).toBe('fetch of x');
  });
});

/** Runs `call` as a worker's run with that id would. */
function runDirectly(app: Celery, id: string, call: () => unknown): unknown {
  const outer = app.task(`outer.${id}`, async () => call());
  return outer.apply([], { taskId: id });
}

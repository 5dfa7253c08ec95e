/** Tasks that belong to no app until one takes them. */
import { describe, expect, it } from 'vitest';
import { AlreadyRegistered, Celery, ImproperlyConfigured, NotRegistered, sharedTask } from '../../../src/index.ts';

const add = sharedTask('lib.add', { rateLimit: '5/s' }, (x: number, y: number) => x + y);
const whoAmI = sharedTask('lib.who', { bind: true }, (self) => [self.name, self.options.priority]);

describe('a shared task', () => {
  it('becomes a task of each app that takes it, and the apps do not meet', async () => {
    const [one, other] = [new Celery('one', { taskAnnotations: { 'lib.who': { priority: 7 } } }), new Celery('other')];
    const [here, there] = [one.registerTask(whoAmI), other.registerTask(whoAmI)];
    expect(here).not.toBe(there);
    expect(await (await here.apply()).get()).toEqual(['lib.who', 7]);
    expect(await (await there.apply()).get()).toEqual(['lib.who', undefined]);
    other.tasks.unregister('lib.who');
    expect(one.tasks.has('lib.who')).toBe(true);
  });

  it('is found by the app that has it', () => {
    const [one, other] = [new Celery('one'), new Celery('other')];
    const task = one.registerTask(add);
    expect(add.in(one)).toBe(task);
    expect(add.in(one)(1, 1)).toBe(2);
    expect(() => add.in(other)).toThrow(NotRegistered);
  });

  it('can be taken twice, since it is the same', () => {
    const app = new Celery('one');
    expect(app.registerTask(add)).toBe(app.registerTask(add));
  });

  it('is not taken where another task has its name, nor found there', () => {
    const app = new Celery('one');
    app.task('lib.add', () => 1);
    expect(() => app.registerTask(add)).toThrow(AlreadyRegistered);
    expect(() => add.in(app)).toThrow(NotRegistered);
  });

  it('is checked when it is defined', () => {
    expect(() => sharedTask('', () => 1)).toThrow(ImproperlyConfigured);
    expect(() => sharedTask('lib.x', { rateLimits: 1 } as never, () => 1)).toThrow(/did you mean 'rateLimit'/);
  });
});

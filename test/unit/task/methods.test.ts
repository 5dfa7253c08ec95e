/** What a task and its `self` offer beside running: maps, this very call as a signature, children, checks at the caller. */
import { describe, expect, it } from 'vitest';
import { ArgumentsInvalid, Celery } from '../../../src/index.ts';

function eager(): Celery {
  return new Celery('shop', { taskAlwaysEager: true });
}

describe('map and starmap', () => {
  it('run a task for each item, in one message, and give the list', async () => {
    const app = eager();
    const add = app.task('shop.add', (x: number, y = 1) => x + y);
    const mapped = add.map([1, 2, 3]);
    expect(mapped.toJSON()).toMatchObject({ task: 'celery.map', kwargs: { it: [1, 2, 3] }, immutable: true });
    expect(await (await mapped.delay()).get()).toEqual([2, 3, 4]);
    expect(await (await add.starmap([[1, 2], [3]]).delay()).get()).toEqual([3, 4]);
  });

  it('go where the task itself would go', () => {
    const app = new Celery('shop', { taskRoutes: { 'shop.*': 'goods' } });
    const add = app.task('shop.add', (x: number) => x);
    const { options, task } = add.map([1]).toJSON();
    expect(options).toEqual({ route_name: 'shop.add' });
    expect(app.prepare(task, [], { routeName: 'shop.add' })).toMatchObject({ routingKey: 'goods' });
  });
});

describe('self.signatureFromRequest()', () => {
  it('is this very call: id, arguments, links and limits', async () => {
    const app = eager();
    const seen: unknown[] = [];
    const note = app.task('shop.note', (_value: unknown) => undefined);
    const buy = app.task('shop.buy', { bind: true }, (self, what: string) => {
      seen.push(self.signatureFromRequest().toJSON());
      return what;
    });
    await buy.apply(['tea'], { taskId: 'id-1', kwargs: { gift: true }, headers: { tenant: 'a' }, link: note.s() });
    expect(seen).toMatchObject([
      {
        task: 'shop.buy',
        args: ['tea'],
        kwargs: { gift: true },
        options: {
          task_id: 'id-1',
          root_id: 'id-1',
          retries: 0,
          headers: { tenant: 'a' },
          link: [{ task: 'shop.note' }],
        },
      },
    ]);
  });

  it('may take the place of the task, with other arguments', async () => {
    const app = eager();
    const ids: string[] = [];
    const count = app.task('shop.count', { bind: true }, (self, left: number): string => {
      ids.push(self.request.id);
      return left === 0 ? 'done' : self.replace(self.signatureFromRequest({ args: [left - 1] }));
    });
    expect(await (await count.apply([2], { taskId: 'id-1' })).get()).toBe('done');
    expect(ids).toEqual(['id-1', 'id-1', 'id-1']);
  });
});

describe('self.addTrail()', () => {
  it.each([
    [undefined, [[['other', null], null]]],
    [false, []],
  ])('with trail: %s makes these children: %j', async (trail, children) => {
    const app = eager();
    const parent = app.task('shop.parent', { bind: true, trail }, (self) => {
      self.addTrail(app.AsyncResult('other'));
      return self.request.children;
    });
    expect(await (await parent.apply()).get()).toEqual(children);
  });
});

describe('with params, a call', () => {
  it('by a name that is no parameter is refused at the caller, unless typing is off', async () => {
    const app = eager();
    const strict = app.task('shop.strict', { params: ['x', 'y'] }, (x: number, y = 1) => x + y);
    const loose = app.task('shop.loose', { params: ['x', 'y'], typing: false }, (x: number, y = 1) => x + y);
    await expect(strict.applyAsync([1], { kwargs: { z: 2 } })).rejects.toThrow(ArgumentsInvalid);
    await expect(strict.applyAsync([1], { kwargs: { x: 2 } })).rejects.toThrow(/several values for: x/);
    expect(await (await strict.applyAsync([1], { kwargs: { y: 2 } })).get()).toBe(3);
    expect(await (await loose.applyAsync([1], { kwargs: { z: 2 } })).get()).toBe(2);
  });
});

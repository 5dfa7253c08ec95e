/** The small parts of beat: the heap, the ids, the saver, the book of entries. */
import { describe, expect, it } from 'vitest';
import { DueHeap } from '../../../src/beat/due-heap.ts';
import { runId } from '../../../src/beat/run-id.ts';
import { Saver } from '../../../src/beat/saver.ts';
import { currentArguments, parseEntry, ScheduleBook, type ScheduleEntryInput } from '../../../src/schedules/index.ts';
import { manualSystem } from '../../support/manual-system.ts';

describe('the heap', () => {
  it('gives things back in the order of their time', () => {
    const heap = new DueHeap<number>();
    const times = Array.from({ length: 1000 }, (_, index) => (index * 7919) % 997);
    for (const time of times) heap.push(time, time);
    expect(heap.soonest).toBe(0);
    const out: number[] = [];
    for (let next = heap.pop(); next !== undefined; next = heap.pop()) out.push(next);
    expect(out).toEqual(times.toSorted((a, b) => a - b));
    expect([heap.size, heap.soonest, heap.pop()]).toEqual([0, undefined, undefined]);
  });

  it('keeps its order when taking and giving alternate', () => {
    const heap = new DueHeap<number>();
    const model: number[] = [];
    for (let step = 0; step < 5000; step += 1) {
      const time = (step * 104_729) % 1009;
      if (step % 3 === 2) expect(heap.pop()).toBe(model.shift());
      else {
        heap.push(time, time);
        model.push(time);
        model.sort((a, b) => a - b);
      }
      expect(heap.soonest).toBe(model[0]);
    }
  });
});

describe('the id of a run', () => {
  it('is a version 5 UUID that never changes', () => {
    const run = { schedule: 'tasks', entry: 'nightly', task: 'tasks.report', due: 1_773_136_800_000 };
    expect(runId(run)).toBe(runId({ ...run }));
    expect(runId(run)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(runId(run)).toBe('0d66a13f-3252-55c3-ba06-dc72153cba97');
  });

  it('differs by schedule, entry, task and due time, however the names are cut', () => {
    const base = { schedule: 'a', entry: 'b', task: 'c', due: 1 };
    const others = [
      { ...base, schedule: 'ab', entry: '' },
      { ...base, entry: 'x' },
      { ...base, task: 'x' },
      { ...base, due: 2 },
    ];
    expect(new Set([base, ...others].map(runId)).size).toBe(5);
  });
});

describe('the saver', () => {
  it('never saves twice at once, and saves what changed while it did', async () => {
    const system = manualSystem();
    let running = 0;
    let saves = 0;
    let release = (): void => undefined;
    const saver = new Saver({
      system,
      delayMs: 100,
      restFactor: 50,
      save: async () => {
        running += 1;
        saves += 1;
        expect(running).toBe(1);
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        running -= 1;
      },
    });
    saver.changed();
    saver.changed();
    await system.advance(99);
    expect(saves).toBe(0);
    await system.advance(1);
    expect(saves).toBe(1);
    saver.changed();
    const flushed = [saver.flush(), saver.flush()];
    await system.advance(1000);
    expect(saves).toBe(1);
    release();
    await system.advance(1000);
    expect(saves).toBe(2);
    release();
    await Promise.all(flushed);
    await saver.close();
    expect([saves, system.timers]).toEqual([2, 0]);
  });

  it('rests as many times as long as a slow save took as it is told', async () => {
    const system = manualSystem();
    let saves = 0;
    const saver = new Saver({
      system,
      delayMs: 0,
      restFactor: 50,
      save: async () => {
        saves += 1;
        await system.sleep(200);
      },
    });
    saver.changed();
    await system.advance(250);
    saver.changed();
    await system.advance(9900);
    expect(saves).toBe(1);
    await system.advance(200);
    expect(saves).toBe(2);
    await system.advance(1000);
    await saver.close();
  });
});

describe('an entry', () => {
  it('is refused with its name, what is wrong and the nearest right word', () => {
    const entry = (fields: object) => () => parseEntry('nightly', { task: 't', schedule: 30, ...fields });
    expect(entry({})).not.toThrow();
    expect(() => parseEntry('x', 5)).toThrow(/Beat entry 'x': it is no object/);
    expect(entry({ task: '' })).toThrow(/Beat entry 'nightly': task is neither a task nor the name/);
    expect(entry({ schedule: undefined })).toThrow(/undefined is no schedule/);
    expect(entry({ arg: [] })).toThrow(/no field 'arg'; did you mean 'args'/);
    expect(entry({ args: 5 })).toThrow(/args is no list/);
    expect(entry({ kwargs: [] })).toThrow(/kwargs is no object/);
    expect(entry({ options: null })).toThrow(/options is no object/);
    expect(entry({ relative: 1 })).toThrow(/relative is neither/);
    expect(entry({ catchUp: 'some' })).toThrow(/catchUp is 'one', 'skip' or 'all', not 'some'/);
  });

  it('takes a task, which is callable, for its name', () => {
    const task = Object.defineProperty(() => 1, 'name', { value: 'tasks.add' });
    expect(parseEntry('x', { task, schedule: 1 }).task).toBe('tasks.add');
  });

  it('asks functions among its arguments each time it is sent', () => {
    let calls = 0;
    const next = (): number => {
      calls += 1;
      return calls;
    };
    const entry = parseEntry('x', { task: 't', schedule: 1, args: [next, 'b'], kwargs: () => ({ c: next, d: [1] }) });
    expect(currentArguments(entry)).toEqual({ args: [1, 'b'], kwargs: { c: 2, d: [1] } });
    expect(currentArguments(entry)).toEqual({ args: [3, 'b'], kwargs: { c: 4, d: [1] } });
  });
});

describe('the book', () => {
  const input = (schedule: number): ScheduleEntryInput => ({ task: 't', schedule });

  it('lists every wrong entry of the settings in one error, and keeps what it had', () => {
    const book = new ScheduleBook();
    book.configure({ a: input(1) });
    expect(() => book.configure({ a: input(0), b: {}, c: input(5) })).toThrow(
      /Beat entry 'a': [\s\S]*Beat entry 'b': /,
    );
    expect([...book.entries.keys()]).toEqual(['a']);
  });

  it('lets code win over the settings, and take out what the settings have', () => {
    const book = new ScheduleBook();
    book.configure({ a: input(1), b: input(1) });
    book.add('a', input(2));
    book.remove('b');
    expect([...book.entries].map(([name, { schedule }]) => `${name} ${schedule}`)).toEqual(['a <freq: 2.00 seconds>']);
    expect([book.get('b'), book.pause('b'), book.remove('b')]).toEqual([undefined, false, false]);
    book.add('b', input(3));
    expect(String(book.get('b')?.schedule)).toBe('<freq: 3.00 seconds>');
  });

  it('tells of each change by the name of the entry', () => {
    const book = new ScheduleBook();
    const news: string[] = [];
    book.on('changed', (name) => news.push(name));
    book.add('a', input(1));
    book.pause('a');
    book.resume('a');
    book.remove('a');
    book.configure({ b: input(1) });
    book.configure({ c: input(1) });
    expect(news).toEqual(['a', 'a', 'a', 'a', 'b', 'b', 'c']);
  });
});

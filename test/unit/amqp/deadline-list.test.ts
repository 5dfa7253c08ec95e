/** Deadlines in one list: those of one length in the order of coming, others among them. */
import { describe, expect, it } from 'vitest';
import { DeadlineList, type WithDeadline } from '../../../src/amqp/deadline-list.ts';
import { manualSystem } from '../../support/manual-system.ts';

class Item implements WithDeadline {
  readonly name: string;
  deadline = 0;
  earlier: WithDeadline | undefined;
  later: WithDeadline | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

function aList() {
  const system = manualSystem();
  const late: string[] = [];
  const list = new DeadlineList<Item>(
    1000,
    system,
    ({ name }) => void late.push(`${name} at ${system.monotonic() - start}`),
  );
  const start = system.monotonic();
  return { list, late, system };
}

describe('a list of deadlines', () => {
  it('tells of each when it passes, also of those with a limit of their own', async () => {
    const { late, list, system } = aList();
    list.add(new Item('first'));
    await system.advance(100);
    list.add(new Item('second'));
    list.add(new Item('soon'), 0.2);
    list.add(new Item('much later'), 3);
    list.add(new Item('sooner'), 0.1);
    list.add(new Item('third'));
    for (let step = 0; step < 40; step += 1) await system.advance(100);
    expect(late).toEqual([
      'sooner at 200',
      'soon at 300',
      'first at 1000',
      'second at 1100',
      'third at 1100',
      'much later at 3100',
    ]);
  });

  it('forgets what is taken out, at either end and between', async () => {
    const { late, list, system } = aList();
    const items = ['a', 'b', 'c', 'd'].map((name) => new Item(name));
    for (const item of items) list.add(item);
    const own = new Item('own');
    list.add(own, 0.5);
    for (const item of [items[0], items[2], items[3], own]) if (item !== undefined) list.delete(item);
    for (let step = 0; step < 20; step += 1) await system.advance(100);
    expect(late).toEqual(['b at 1000']);
    list.close();
  });
});

/** Beat's loop: when it asks its scheduler, and what it does when that fails, is called, or may not send any more. */
import { describe, expect, it } from 'vitest';
import { Beat, EntryScheduler, MemoryStore, type Scheduler, type SchedulerContext } from '../../../src/beat/index.ts';
import { ScheduleBook } from '../../../src/schedules/index.ts';
import { type ManualSystem, manualSystem, turn } from '../../support/manual-system.ts';
import { world } from './world.ts';

describe("beat's loop", () => {
  it('asks the scheduler when it wants to be asked, and at once when it is woken', async () => {
    const { system, ticks, context, stop } = await begin({ tick: () => 5000 });
    await system.advance(4999);
    expect(ticks()).toEqual([0]);
    await system.advance(5001);
    expect(ticks()).toEqual([0, 5000, 10_000]);
    await system.advance(700);
    context().wake();
    await turn();
    expect(ticks()).toEqual([0, 5000, 10_000, 10_700]);
    await system.advance(4999);
    expect(ticks()).toHaveLength(4);
    await stop();
  });

  it('is not kept from stopping by a scheduler that wants no pause', async () => {
    const { ticks, stop } = await begin({ tick: () => 0 });
    await stop();
    expect(ticks().length).toBeLessThan(50);
  });

  it('asks a scheduler that fails again, with growing pauses, and tells it', async () => {
    const { system, ticks, stop } = await begin({
      tick: () => {
        throw new Error('the database is away');
      },
    });
    await system.advance(60_000);
    expect(ticks()).toEqual([0, 1000, 3000, 7000, 15_000, 31_000]);
    expect(system.logger.find('The scheduler failed')).toHaveLength(6);
    await stop();
  });

  it('closes a scheduler that may not send any more, and opens it again', async () => {
    const news: string[] = [];
    let term = new AbortController();
    const { stop } = await begin({
      open: () => {
        term = new AbortController();
        news.push('open');
      },
      ended: () => term.signal,
      tick: () => {
        news.push('tick');
        return 60_000;
      },
      close: () => {
        news.push('close');
      },
    });
    term.abort(new Error('another leads'));
    await turn();
    expect(news).toEqual(['open', 'tick', 'close', 'open', 'tick']);
    await stop();
    expect(news.at(-1)).toBe('close');
  });

  it('announces itself once, before the first tick', async () => {
    const news: string[] = [];
    const system = manualSystem();
    const stopping = new AbortController();
    const running = new Beat({
      host: aHost(),
      system,
      scheduleFile: 'nowhere',
      announce: () => {
        news.push('announce');
      },
      createScheduler: () => ({
        open: () => {
          news.push('open');
        },
        tick: () => 1000,
        close: () => undefined,
      }),
    }).run(stopping.signal);
    await system.advance(3000);
    stopping.abort();
    await running;
    expect(news).toEqual(['announce', 'open']);
  });
});

describe('the scheduler of entries', () => {
  it('wants to be asked when the next run is due, and at the latest after the longest interval', async () => {
    const system = manualSystem();
    const delayWith = async (maxIntervalSeconds: number, seconds: number): Promise<number> => {
      const host = aHost(maxIntervalSeconds);
      host.book.configure({ a: { task: 't', schedule: seconds } });
      const scheduler = new EntryScheduler(
        { host, system, scheduleFile: 'nowhere', wake: () => undefined },
        new MemoryStore(),
      );
      await scheduler.open(new AbortController().signal);
      const delay = scheduler.tick();
      await scheduler.close();
      return delay;
    };
    expect(await delayWith(0, 30)).toBe(30_000);
    expect(await delayWith(0, 3600)).toBe(300_000);
    expect(await delayWith(7, 3600)).toBe(7000);
    expect(await delayWith(7, 3)).toBe(3000);
  });

  it('does not repeat itself while nothing is due', async () => {
    await using beat = await world({ entries: { a: { task: 't', schedule: 86_400 } } });
    await beat.advance({ minutes: 30 });
    expect([beat.sent, beat.attempts]).toEqual([[], 0]);
    expect(beat.store.saves).toBe(1);
  });
});

interface Begun {
  readonly system: ManualSystem;
  /** When the scheduler was asked, ms since the start. */
  ticks(): number[];
  context(): SchedulerContext;
  stop(): Promise<void>;
}

async function begin(given: {
  open?: () => void;
  tick: () => number;
  close?: () => void;
  ended?: () => AbortSignal;
}): Promise<Begun> {
  const system = manualSystem();
  const stopping = new AbortController();
  const ticks: number[] = [];
  let context: SchedulerContext | undefined;
  const running = new Beat({
    host: aHost(),
    system,
    scheduleFile: 'nowhere',
    createScheduler: (made): Scheduler => {
      context = made;
      return {
        open: () => given.open?.(),
        tick: () => {
          ticks.push(system.monotonic());
          return given.tick();
        },
        get ended() {
          return given.ended?.();
        },
        close: () => given.close?.(),
      };
    },
  }).run(stopping.signal);
  await turn();
  return {
    system,
    ticks: () => [...ticks],
    context: () => context ?? expect.fail('no scheduler was made'),
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

function aHost(maxIntervalSeconds = 0) {
  return {
    name: 'loop',
    settings: { timeZone: 'UTC', maxIntervalSeconds, syncEvery: 0, cronDeadlineSeconds: undefined },
    book: new ScheduleBook(),
    send: async () => undefined,
  };
}

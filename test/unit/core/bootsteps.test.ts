/** Blueprints: the order of steps, their start and their stop. */
import { describe, expect, it } from 'vitest';
import { Blueprint, StartStopStep, Step, type StepClass } from '../../../src/core/bootsteps.ts';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';
import { testLogger } from '../../support/logger.ts';

/** What the steps write into. */
interface World {
  readonly log: string[];
}

/** A step that writes down its life. */
function aStep(
  name: string,
  given: { requires?: StepClass<World>['requires']; last?: boolean; fails?: string; include?: boolean } = {},
): StepClass<World> {
  class Recorded extends StartStopStep {
    static override readonly requires = given.requires ?? [];
    static override readonly last = given.last ?? false;
    constructor(world: World) {
      super();
      world.log.push(`new ${name}`);
    }
    override includeIf(): boolean {
      return given.include ?? true;
    }
    override start({ log }: World): void {
      this.#do('start', log);
    }
    override close({ log }: World): void {
      this.#do('close', log);
    }
    override async stop({ log }: World): Promise<void> {
      this.#do('stop', log);
    }
    override terminate({ log }: World): void {
      this.#do('terminate', log);
    }
    #do(what: string, log: string[]): void {
      log.push(`${what} ${name}`);
      if (given.fails === what) throw new Error(`${name} failed to ${what}`);
    }
  }
  Object.defineProperty(Recorded, 'name', { value: name });
  return Recorded;
}

const fixed = ['Timer', 'Pool', 'Beat'];

function aBlueprint(...steps: StepClass<World>[]) {
  const logger = testLogger();
  const world: World = { log: [] };
  const blueprint = new Blueprint<World>('worker', { steps, fixed, log: logger.log });
  const since = (): string[] => world.log.splice(0);
  return { blueprint, logger, world, since };
}

describe('the order of a blueprint', () => {
  it('has each step after what it requires, else as they were added, around the fixed parts', () => {
    const a = aStep('A');
    const b = aStep('B', { requires: ['Pool'] });
    const c = aStep('C', { requires: [a, 'celery.worker.components:Timer'] });
    const d = aStep('D', { requires: ['B'] });
    expect(aBlueprint(d, c, b, a).blueprint.order).toEqual(['A', 'Timer', 'C', 'Pool', 'B', 'D', 'Beat']);
  });

  it('has those that are last at the end', () => {
    const { blueprint } = aBlueprint(aStep('Z', { last: true }), aStep('A'), aStep('B', { requires: ['Pool'] }));
    expect(blueprint.order).toEqual(['A', 'Timer', 'Pool', 'B', 'Beat', 'Z']);
  });

  it('includes a required class that nobody added', () => {
    const a = aStep('A');
    expect(aBlueprint(aStep('B', { requires: [a] })).blueprint.order).toEqual(['A', 'B', 'Timer', 'Pool', 'Beat']);
  });

  it('cannot be made of a circle, which is named', () => {
    const a = aStep('A', { requires: ['C'] });
    const b = aStep('B', { requires: [a] });
    const c = aStep('C', { requires: [b] });
    expect(() => aBlueprint(a, b, c)).toThrow(ImproperlyConfigured);
    expect(() => aBlueprint(a, b, c)).toThrow(/circle: A → C → B → A/);
  });

  it('cannot be made with a requirement nobody knows, and what is known is listed', () => {
    expect(() => aBlueprint(aStep('A', { requires: ['celery.worker.components:Pol'] }))).toThrow(
      /step A requires 'celery\.worker\.components:Pol'.*Timer, Pool, Beat, A\. Did you mean 'Pool'\?/,
    );
  });
});

describe('a blueprint', () => {
  it('makes all steps, starts downwards, closes downwards and stops upwards', async () => {
    const { blueprint, since, world } = aBlueprint(aStep('B', { requires: ['A'] }), aStep('A'));
    expect(blueprint.state).toBe('initializing');
    await blueprint.apply(world);
    await blueprint.start(world);
    expect([since(), blueprint.state]).toEqual([['new A', 'new B', 'start A', 'start B'], 'running']);
    await blueprint.stop(world);
    expect([since(), blueprint.state]).toEqual([['close A', 'close B', 'stop B', 'stop A'], 'stopped']);
    await blueprint.stop(world);
    expect(since()).toEqual([]);
  });

  it('leaves out what does not want to be included', async () => {
    const { blueprint, since, world } = aBlueprint(aStep('A', { include: false }), aStep('B'));
    await blueprint.apply(world);
    await blueprint.start(world);
    expect(since()).toEqual(['new A', 'new B', 'start B']);
    expect([...blueprint.steps.keys()]).toEqual(['B']);
  });

  it('starts up to a fixed part, then the rest', async () => {
    const { blueprint, since, world } = aBlueprint(aStep('A', { requires: ['Pool'] }), aStep('B'));
    await blueprint.apply(world);
    await blueprint.start(world, { before: 'Pool' });
    expect(since()).toEqual(['new B', 'new A', 'start B']);
    await blueprint.start(world);
    expect(since()).toEqual(['start A']);
  });

  it('throws what a start throws; what was started, that step included, can be stopped', async () => {
    const { blueprint, since, world } = aBlueprint(aStep('A'), aStep('B', { fails: 'start' }), aStep('C'));
    await blueprint.apply(world);
    await expect(blueprint.start(world)).rejects.toThrow('B failed to start');
    since();
    await blueprint.stop(world);
    expect(since()).toEqual(['close A', 'close B', 'stop B', 'stop A']);
  });

  it.each(['close', 'stop'])('logs what %s throws and goes on', async (what) => {
    const { blueprint, logger, since, world } = aBlueprint(aStep('A'), aStep('B', { fails: what }), aStep('C'));
    await blueprint.apply(world);
    await blueprint.start(world);
    since();
    await blueprint.stop(world);
    expect(since()).toEqual(['close A', 'close B', 'close C', 'stop C', 'stop B', 'stop A']);
    expect(logger.records).toContainEqual(
      expect.objectContaining({ level: 'error', step: 'B', what, blueprint: 'worker' }),
    );
  });

  it('terminates instead of stopping when asked to', async () => {
    const { blueprint, since, world } = aBlueprint(aStep('A'), aStep('B'));
    await blueprint.apply(world);
    await blueprint.start(world);
    since();
    await blueprint.terminate(world);
    expect(since()).toEqual(['close A', 'close B', 'terminate B', 'terminate A']);
  });

  it('can be paused and started again with the same steps', async () => {
    const { blueprint, since, world } = aBlueprint(aStep('A'), aStep('B'));
    await blueprint.apply(world);
    await blueprint.start(world);
    since();
    await blueprint.pause(world);
    await blueprint.start(world);
    expect(since()).toEqual(['stop B', 'stop A', 'start A', 'start B']);
  });

  it('passes the calls on to what create returned', async () => {
    const calls: string[] = [];
    class Server extends StartStopStep {
      override create() {
        const note = (what: string) => () => void calls.push(what);
        return { start: note('start'), close: note('close'), stop: note('stop'), terminate: note('terminate') };
      }
    }
    const { blueprint, world } = aBlueprint(Server);
    await blueprint.apply(world);
    await blueprint.start(world);
    await blueprint.stop(world);
    expect(calls).toEqual(['start', 'close', 'stop']);
  });

  it('takes steps that neither start nor stop, gives them the options and gathers what they tell', async () => {
    let given: unknown;
    class Info extends Step {
      constructor(_world: World, options: Readonly<Record<string, unknown>>) {
        super();
        given = options;
      }
      override info(): object {
        return { disk: 'fine' };
      }
    }
    const { blueprint, world } = aBlueprint(Info);
    await blueprint.apply(world, { concurrency: 2 });
    await blueprint.start(world);
    expect([given, await blueprint.info(world)]).toEqual([{ concurrency: 2 }, { disk: 'fine' }]);
    await blueprint.stop(world);
  });
});

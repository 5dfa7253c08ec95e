/** One row of the table of faults, and how a table becomes tests. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Closable } from '../../src/core/close-stack.ts';
import { root } from '../support/build.ts';
import { findPython } from '../support/python.ts';
import type { RabbitNode } from '../support/rabbitmq-node.ts';
import { type Broker, concurrency, type Variant, World } from './world.ts';

export type Measures = Readonly<Record<string, number | string>>;

export interface Scenario<B extends Broker = RabbitNode> {
  /** The fault, as in the table of `docs/reliability.md`. */
  readonly fault: string;
  /** What must be seen. */
  readonly promise: string;
  /** `full`: not among the quick ones. `fast`: several rows in one, which the full tier has one by one. */
  readonly tier?: 'fast' | 'full';
  /** One of the variants is enough: the row is about something else than acknowledgement, or cannot say more early. */
  readonly acks?: 'late' | 'early';
  /** The fault ends processes or connections under tasks that were acknowledged early: those in execution are lost. */
  readonly losesRunning?: true;
  /** The row judges its ledger itself, or has none. */
  readonly judgesItself?: true;
  /** Ids that may end twice. Default: any number, at-least-once; 0 where nothing excuses a second run. */
  readonly mostDuplicates?: number;
  /** Python Celery is on one side: skipped where there is none. */
  readonly needsPython?: true;
  /** Its worker is Python's, which may run one id beside itself. */
  readonly mayOverlap?: true;
  /** The promise is about celery-ts alone: its errors, exit codes, settings. */
  readonly isOurs?: true;
  run(world: World<B>): Promise<Measures>;
}

export const isFull: boolean = process.env.FAULTS_TIER === 'full';
export const against: Variant['against'] = process.env.FAULTS_AGAINST === 'celery' ? 'celery' : 'celery-ts';

const variants: readonly Variant[] = isFull
  ? (['late', 'early'] as const).flatMap((acks) =>
      (['classic', 'quorum'] as const).map((queueType) => ({ count: 2_000, acks, queueType, against }) as const),
    )
  : [{ count: 200, acks: 'late', queueType: 'classic', against }];

/** A suite over one broker: at once, or one after the other where a row harms the broker. */
export function suite<B extends Broker & Closable>(
  title: string,
  scenarios: readonly Scenario<B>[],
  options: {
    readonly atOnce: boolean;
    open(): Promise<B>;
    /** Default: all. */
    readonly queueType?: Variant['queueType'];
  },
): void {
  let broker: B | undefined;
  beforeAll(async () => {
    broker = await options.open();
  }, 240_000);
  afterAll(() => broker?.close(), 60_000);
  for (const variant of variants) {
    if (isFull && variant.queueType !== (options.queueType ?? variant.queueType)) continue;
    const wanted = scenarios.filter((scenario) => isWanted(scenario, variant));
    if (wanted.length === 0) continue;
    describe(`${title}, ${against}, ${variant.acks} ack, ${variant.queueType} queue, ${variant.count} tasks`, () => {
      for (const scenario of wanted) {
        const title = `${scenario.fault}: ${scenario.promise}`;
        it(title, {
          timeout: isFull ? 600_000 : against === 'celery' ? 400_000 : 180_000,
          concurrent: options.atOnce,
        }, async ({ skip }) => {
          if (broker === undefined) throw new Error('There is no broker.');
          const takesPython = variant.against === 'celery' || scenario.needsPython === true;
          const python = takesPython ? await findPython().catch(asError) : undefined;
          if (python instanceof Error) {
            if (scenario.needsPython === true) skip(python.message);
            throw python;
          }
          await play(broker, scenario, variant, python?.path);
        });
      }
    });
  }
}

/** Python Celery is asked row by row, so that each has its answer. */
function isWanted<B extends Broker>(scenario: Scenario<B>, variant: Variant): boolean {
  if (scenario.acks !== undefined && scenario.acks !== variant.acks) return false;
  if (against === 'celery') return scenario.tier !== 'fast' && scenario.isOurs !== true;
  return scenario.tier === undefined || scenario.tier === (isFull ? 'full' : 'fast');
}

async function play<B extends Broker>(
  broker: B,
  scenario: Scenario<B>,
  variant: Variant,
  python: string | undefined,
): Promise<void> {
  const startedAt = performance.now();
  await using world = await World.open(broker, variant, python);
  const report = (measures: Measures): void => {
    const { concurrent, confirmed, duplicated, lost, recovered, refused, unexpected } = world.verdict();
    const counts = { confirmed, lost: lost.length, duplicated: duplicated.length, recovered: recovered.length };
    const oddities = { unexpected: unexpected.length, concurrent: concurrent.length, refused };
    const took = Math.round(performance.now() - startedAt) / 1000;
    tell({ fault: scenario.fault, ...variant, ...counts, ...oddities, ...measures, took });
  };
  let measures: Measures;
  try {
    measures = await scenario.run(world);
  } catch (error) {
    report({ failed: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) });
    console.error(`${scenario.fault}:\n${world.lastWords}`);
    throw error;
  }
  report(measures);
  if (scenario.judgesItself) return;
  const { concurrent, duplicated, lost, unexpected } = world.verdict();
  const mayLose = variant.acks === 'early' && scenario.losesRunning === true ? concurrency : 0;
  if (mayLose === 0) expect(lost).toEqual([]);
  else expect(lost.length).toBeLessThanOrEqual(mayLose);
  expect(unexpected).toEqual([]);
  if (variant.against === 'celery-ts' && scenario.mayOverlap !== true) expect(concurrent).toEqual([]);
  expect(duplicated.length).toBeLessThanOrEqual(scenario.mostDuplicates ?? Number.POSITIVE_INFINITY);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** One line for each row, in `build/faults.jsonl`: the numbers of `docs/reliability.md` come from there. */
function tell(row: Readonly<Record<string, unknown>>): void {
  const line = JSON.stringify(row);
  mkdirSync(join(root, 'build'), { recursive: true });
  appendFileSync(join(root, 'build', 'faults.jsonl'), `${line}\n`);
  console.log(line);
}

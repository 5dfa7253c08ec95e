/** One row of the table of faults, and how a table becomes tests. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/build.ts';
import { type RabbitNode, type RabbitNodeOptions, startRabbitNode } from '../support/rabbitmq-node.ts';
import { concurrency, type Variant, World } from './world.ts';

export type Measures = Readonly<Record<string, number | string>>;

export interface Scenario {
  /** The fault, as in the table of `docs/reliability.md`. */
  readonly fault: string;
  /** What must be seen. */
  readonly promise: string;
  /** `full`: not among the quick ones. */
  readonly tier?: 'full';
  /** The fault ends processes or connections under tasks that were acknowledged early: those in execution are lost. */
  readonly losesRunning?: true;
  /** The row judges its ledger itself, or has none. */
  readonly judgesItself?: true;
  /** Ids that may end twice. Default: any number, at-least-once; 0 where nothing excuses a second run. */
  readonly mostDuplicates?: number;
  /** The promise is about celery-ts alone: its errors, exit codes, settings. */
  readonly isOurs?: true;
  run(world: World): Promise<Measures>;
}

export const isFull: boolean = process.env.FAULTS_TIER === 'full';
const against = process.env.FAULTS_AGAINST === 'celery' ? 'celery' : 'celery-ts';

const variants: readonly Variant[] = isFull
  ? (['late', 'early'] as const).flatMap((acks) =>
      (['classic', 'quorum'] as const).map((queueType) => ({ count: 2_000, acks, queueType, against }) as const),
    )
  : [{ count: 200, acks: 'late', queueType: 'classic', against }];

/** A suite over one node: at once, or one after the other where a row harms the node. */
export function suite(
  title: string,
  scenarios: readonly Scenario[],
  options: { readonly atOnce: boolean; readonly node?: RabbitNodeOptions },
): void {
  let node: RabbitNode | undefined;
  beforeAll(async () => {
    node = await startRabbitNode(options.node);
  }, 120_000);
  afterAll(() => node?.close(), 60_000);
  const wanted = scenarios.filter(
    ({ isOurs, tier }) => (isFull || tier !== 'full') && !(against === 'celery' && isOurs),
  );
  for (const variant of variants) {
    describe(`${title}, ${against}, ${variant.acks} ack, ${variant.queueType} queue, ${variant.count} tasks`, () => {
      for (const scenario of wanted) {
        const title = `${scenario.fault}: ${scenario.promise}`;
        it(title, { timeout: isFull ? 300_000 : 90_000, concurrent: options.atOnce }, async () => {
          if (node === undefined) throw new Error('There is no node.');
          await play(node, scenario, variant);
        });
      }
    });
  }
}

async function play(node: RabbitNode, scenario: Scenario, variant: Variant): Promise<void> {
  const startedAt = performance.now();
  await using world = await World.open(node, variant);
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
    throw error;
  }
  report(measures);
  if (scenario.judgesItself) return;
  const { concurrent, duplicated, lost, unexpected } = world.verdict();
  const mayLose = variant.acks === 'early' && scenario.losesRunning === true ? concurrency : 0;
  if (mayLose === 0) expect(lost).toEqual([]);
  else expect(lost.length).toBeLessThanOrEqual(mayLose);
  expect(unexpected).toEqual([]);
  if (variant.against === 'celery-ts') expect(concurrent).toEqual([]);
  expect(duplicated.length).toBeLessThanOrEqual(scenario.mostDuplicates ?? Number.POSITIVE_INFINITY);
}

/** One line for each row, in `build/faults.jsonl`: the numbers of `docs/reliability.md` come from there. */
function tell(row: Readonly<Record<string, unknown>>): void {
  const line = JSON.stringify(row);
  mkdirSync(join(root, 'build'), { recursive: true });
  appendFileSync(join(root, 'build', 'faults.jsonl'), `${line}\n`);
  console.log(line);
}

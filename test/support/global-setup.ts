/**
 * Before the first test of a project that runs the built package: builds `dist` when `src` is newer, chooses the broker
 * and starts it. Several projects in one run share one broker: vitest loads this file once for each, in one process.
 */
import type { TestProject } from 'vitest/node';
import { type BrokerOffer, type ChosenBroker, chooseBroker } from './broker-choice.ts';
import { buildOnce } from './build.ts';

const shared = Symbol.for('celery-ts.test.run');

interface Run {
  users: number;
  readonly ready: Promise<ChosenBroker>;
}

type Here = Record<never, unknown> & { [shared]?: Run | undefined };

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const here: Here = globalThis;
  here[shared] ??= { users: 0, ready: prepare() };
  const run = here[shared];
  run.users += 1;
  const chosen = await run.ready;
  project.provide('broker', offerFor(project.name, chosen.offer));
  return async () => {
    run.users -= 1;
    if (run.users > 0) return;
    here[shared] = undefined;
    await chosen.close();
  };
}

/** Python Celery up to 5.6 declares queues and limits that a strict broker refuses. */
function offerFor(project: string, offer: BrokerOffer): BrokerOffer {
  return offer.kind === 'embedded' ? { ...offer, isStrict: project !== 'interop' } : offer;
}

async function prepare(): Promise<ChosenBroker> {
  await buildOnce();
  const chosen = await chooseBroker((sentence) => console.warn(sentence));
  console.log(`Tests run on ${chosen.sentence}.`);
  return chosen;
}

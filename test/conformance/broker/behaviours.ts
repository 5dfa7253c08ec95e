/**
 * The conformance suite is a list of behaviours, each run on every broker at hand: the embedded one always, and the
 * RabbitMQ of this run where there is one. A behaviour passes on both or it is no behaviour of ours.
 */
import { afterAll, beforeAll, describe, inject, it } from 'vitest';
import type { BrokerOffer } from '../../support/broker-choice.ts';
import { openBroker, type TestBroker } from '../../support/vhost.ts';
import { World } from './world.ts';

/** A behaviour: its claim as the title, its proof as the body. */
export type Behave = (claim: string, prove: (world: World) => Promise<void>) => void;

/** The brokers to run on. */
export function columns(): readonly BrokerOffer[] {
  const offer: BrokerOffer | undefined = inject('broker');
  const embedded: BrokerOffer = { kind: 'embedded', isStrict: false };
  return offer === undefined || offer.kind === 'embedded' ? [embedded] : [embedded, offer];
}

/** Declares behaviours for each broker. `it` opens a world of its own for each. */
export function behaviours(subject: string, declare: (it: Behave) => void): void {
  describe.each(columns())(`${subject} on $kind`, (offer) => {
    const shared: { broker?: TestBroker } = {};
    beforeAll(async () => {
      shared.broker = await openBroker(offer);
    });
    afterAll(() => shared.broker?.close());
    declare((claim, prove) => {
      it(claim, async () => {
        if (shared.broker === undefined) throw new Error('The broker did not start.');
        await using world = await World.open(shared.broker);
        await prove(world);
      });
    });
  });
}

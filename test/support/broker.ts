/**
 * A broker for one test: `await using broker = await testBroker()`. Each call is a world of its own: a fresh vhost on
 * the run's RabbitMQ, or a fresh embedded broker in this process. Which of the two is chosen once a run by
 * `broker-choice.ts` and started by `global-setup.ts`; a test that only holds on one says so by `broker.kind`.
 */
import { inject } from 'vitest';
import type { BrokerOffer } from './broker-choice.ts';
import { openBroker, type TestBroker } from './vhost.ts';

export type { TestBroker } from './vhost.ts';

declare module 'vitest' {
  interface ProvidedContext {
    broker: BrokerOffer;
  }
}

/** A fresh broker or vhost. Close it at the end of the test or file. */
export function testBroker(): Promise<TestBroker> {
  const offer: BrokerOffer | undefined = inject('broker');
  if (offer === undefined) {
    throw new Error('Tests in this folder have no broker: only projects with test/support/global-setup.ts do.');
  }
  return openBroker(offer);
}

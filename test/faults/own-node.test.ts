/** Faults of the broker itself: one after the other. */
import { brokers } from './brokers.ts';
import { suite } from './scenario.ts';

suite('with a broker that is not well', brokers, { atOnce: false });

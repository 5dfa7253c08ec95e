import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../../src/execution/index.ts';
import { type AckPolicy, type Settlement, settlementOf } from '../../../src/worker/settle.ts';

const standard: AckPolicy = { acksOnFailure: true, acksOnTimeout: true, rejectOnWorkerLost: true };
const failed: Outcome = { kind: 'failed', runtimeSeconds: 0, exceptionRepr: 'E()', traceback: '', isExpected: false };
const lost: Outcome = { kind: 'lost', reason: 'SIGKILL' };

const rows: [title: string, outcome: Outcome, policy: Partial<AckPolicy>, crashes: number, wanted: Settlement][] = [
  ['acks a success', { kind: 'succeeded', runtimeSeconds: 0, resultRepr: '2' }, {}, 0, 'ack'],
  [
    'acks a retry: the new message is confirmed',
    { kind: 'retrying', reasonRepr: '', traceback: '', delaySeconds: 1 },
    {},
    0,
    'ack',
  ],
  ['acks an ignored run', { kind: 'ignored' }, {}, 0, 'ack'],
  ['acks a failure', failed, {}, 0, 'ack'],
  ['rejects a failure when acksOnFailure is off', failed, { acksOnFailure: false }, 0, 'reject'],
  ['acks a time-out', { kind: 'timed out', limitSeconds: 1 }, {}, 0, 'ack'],
  [
    'requeues a time-out when acksOnTimeout is off',
    { kind: 'timed out', limitSeconds: 1 },
    { acksOnTimeout: false },
    0,
    'requeue',
  ],
  ['rejects what the task rejects', { kind: 'rejected', requeue: false, reason: '' }, {}, 0, 'reject'],
  ['requeues what the task wants back', { kind: 'rejected', requeue: true, reason: '' }, {}, 0, 'requeue'],
  ['rejects a body that cannot be read', { kind: 'undecodable', reason: '' }, {}, 0, 'reject'],
  ['acks a terminated run', { kind: 'terminated', killSignal: 'SIGTERM' }, {}, 0, 'ack'],
  ['requeues a run that was given back', { kind: 'returned', reason: '' }, {}, 0, 'requeue'],
  ['sends a message again whose child was lost', lost, {}, 0, 'resend'],
  ['sends it again for the last time', lost, {}, 1, 'resend'],
  ['rejects it once the crash limit is reached', lost, {}, 2, 'reject'],
  ['acks a lost child when rejectOnWorkerLost is off', lost, { rejectOnWorkerLost: false }, 0, 'ack'],
  [
    'rejects it when failures are not acked either',
    lost,
    { rejectOnWorkerLost: false, acksOnFailure: false },
    0,
    'reject',
  ],
];

describe('the settlement of a late-acknowledged message', () => {
  it.each(rows)('%s', (_title, outcome, policy, crashes, wanted) => {
    expect(settlementOf(outcome, { ...standard, ...policy }, { crashes, limit: 3 })).toBe(wanted);
  });
});

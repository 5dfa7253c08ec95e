import { describe, expect, it } from 'vitest';
import {
  AccessRefused,
  BackendStoreError,
  EncodeError,
  PublishNackedError,
  UnroutableError,
} from '../../../src/core/errors.ts';
import type { Outcome } from '../../../src/execution/index.ts';
import {
  type AckPolicy,
  afterSetback,
  type Setback,
  type Settlement,
  settlementOf,
} from '../../../src/worker/settle.ts';

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

describe('a message whose end cannot be told', () => {
  const away = new BackendStoreError('away');
  const rows: [title: string, setback: Partial<Setback>, wanted: ReturnType<typeof afterSetback>][] = [
    ['goes back however often the store is away', { error: away, tries: 1_000 }, 'return'],
    ['goes back while a full queue may have room again', { error: new PublishNackedError(), tries: 1_000 }, 'return'],
    ['goes back when a callback finds no queue, at first', { error: new UnroutableError(), tries: 2 }, 'return'],
    ['is given up when it finds none at the last try', { error: new UnroutableError(), tries: 3 }, 'give up'],
    ['is given up when it cannot be encoded at the last try', { error: new EncodeError(), tries: 3 }, 'give up'],
    ['is given up when the broker has it no more', { error: away, isSettled: true }, 'give up'],
    ['goes back when a crash cannot be counted now', { error: away, isResend: true, tries: 9 }, 'return'],
    ['is given up when its queue takes it no more', { error: new PublishNackedError(), isResend: true }, 'give up'],
    ['is given up when its queue is gone', { error: new UnroutableError(), isResend: true }, 'give up'],
    ['is given up when we may not send it', { error: new AccessRefused(), isResend: true }, 'give up'],
  ];
  it.each(rows)('%s', (_title, setback, wanted) => {
    const first: Setback = { error: away, isResend: false, isSettled: false, tries: 1, limit: 3 };
    expect(afterSetback({ ...first, ...setback })).toBe(wanted);
  });
});

import { expect, it } from 'vitest';
import { nearest, nearestFew } from '../../../src/core/nearest.ts';

const names = ['taskAcksLate', 'taskTimeLimit', 'taskSoftTimeLimit', 'workerConcurrency', 'brokerUrl'];

it.each([
  ['taskAckLate', 'taskAcksLate'],
  ['task_acks_late', 'taskAcksLate'],
  ['TASK-ACKS-LATE', 'taskAcksLate'],
  ['workerConcurency', 'workerConcurrency'],
  ['brokerUrls', 'brokerUrl'],
  ['brokreUrl', 'brokerUrl'],
  ['taskTimeLimits', 'taskTimeLimit'],
])('%s is nearest to %s', (name, wanted) => {
  expect(nearest(name, names)).toBe(wanted);
});

it.each(['colour', '', 'x', 'completelyDifferentName'])('%j is like none', (name) => {
  expect(nearest(name, names)).toBeUndefined();
});

it('gives a few, best first', () => {
  expect(nearestFew('taskSoftTimeLimits', names)).toEqual(['taskSoftTimeLimit', 'taskTimeLimit']);
  expect(nearestFew('taskSoftTimeLimits', names, 1)).toEqual(['taskSoftTimeLimit']);
});

it('reads no more than it needs of a very long name', () => {
  expect(nearest('a'.repeat(1_000_000), names)).toBeUndefined();
});

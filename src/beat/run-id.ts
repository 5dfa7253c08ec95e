/**
 * The task id of a due run: the same whoever sends it, so that a run sent twice (a crash between sending and writing
 * it down, a hand-over between two beats) can be recognised.
 */
import { createHash } from 'node:crypto';

/** The namespace of our name-based UUIDs. Changing it would change every id. */
const namespace = Buffer.from('6f1d7a4e2c935bd8a0e7c4b1935f28d6', 'hex');

/** A UUID (version 5, by RFC 9562) of a schedule's name, an entry's name, its task and the due time in ms. */
export function runId(run: { schedule: string; entry: string; task: string; due: number }): string {
  const name = JSON.stringify([run.schedule, run.entry, run.task, Math.round(run.due)]);
  const bytes = createHash('sha1').update(namespace).update(name).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

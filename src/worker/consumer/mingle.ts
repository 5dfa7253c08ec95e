/** Meeting the neighbours at the start: their revoked tasks and clocks are taken over before the first message. */
import { uptime } from 'node:os';
import type { Celery } from '../../app/index.ts';
import { decodeHelloReply, encodeHelloArguments } from '../../message/index.ts';
import type { Revoked } from '../revoked.ts';

/**
 * Asks every worker; gives the names of those that answered. As in Celery a second is waited for them, since nobody can say
 * how many there are; none where nobody listens, which the broker knows.
 */
export async function mingle(app: Celery, nodeName: string, revoked: Revoked): Promise<readonly string[]> {
  const { clock, mailbox } = app.remote;
  const now = app.system.now();
  const args = encodeHelloArguments({ fromNode: nodeName, revoked: toldOf(revoked, now) });
  const neighbours: string[] = [];
  for (const { node, value } of await mailbox.ask('hello', args, { timeout: 1 })) {
    if (node === nodeName) continue;
    try {
      const hello = decodeHelloReply(value);
      if (hello === undefined) continue;
      clock.adjust(hello.clock);
      revoked.add(hello.revoked.keys(), now);
      neighbours.push(node);
    } catch (error) {
      app.system.log.debug({ node, err: error }, 'A neighbour answered what cannot be read');
    }
  }
  return neighbours;
}

/**
 * What is told of revoked ids: each with the uptime of this host when it was revoked, which Celery up to 5.6 holds against
 * its own; from 5.7 on it takes the ids alone.
 */
export function toldOf(revoked: Revoked, now: number): ReadonlyMap<string, number> {
  const up = uptime();
  return new Map(revoked.entries(now).map(([id, at]) => [id, up - (now - at) / 1000]));
}

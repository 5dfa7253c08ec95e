/**
 * Elections among workers, the rule alone: everybody bids, everybody says that it has seen a bid, and when all have done
 * both the bid with the lowest clock wins (on a tie the lower name), which is what Celery's workers find too. Pure.
 *
 *   bid of ours ──┐
 *   bids of all ──┼──▶ decided, once; later news of it is ignored for a while
 *   acks of all ──┘
 */

export interface Bid {
  /** The logical clock when it was sent. */
  readonly clock: number;
  readonly hostname: string;
  readonly pid: number | string;
  readonly topic: string;
  readonly action: unknown;
}

interface Election {
  /** By node: nobody bids twice. */
  readonly bids: Map<string, Bid>;
  readonly acks: Set<string>;
  /** This worker takes part. */
  isEntered: boolean;
  isDecided: boolean;
  /** Monotonic ms. */
  readonly startedAt: number;
}

/** Ids known at a time, and nodes in each: what more there is belongs to somebody who plays tricks. */
const mostElections = 1_000;
const mostNodes = 5_000;
/** An id may be used again after this: until then late news of it opens nothing. */
const rememberedMs = 30_000;

export class Elections {
  readonly #elections = new Map<string, Election>();

  /** This worker takes part; false when the election was held already. */
  enter(id: string, now: number): boolean {
    const election = this.#at(id, now);
    if (election.isEntered || election.isDecided) return false;
    election.isEntered = true;
    return true;
  }

  /** Whether this worker's own bid is out: others are answered after it, so that they have it when they decide. */
  hasEntered(id: string, now: number): boolean {
    const election = this.#at(id, now);
    return election.isEntered || election.isDecided;
  }

  bid(id: string, bid: Bid, now: number): void {
    const { bids } = this.#at(id, now);
    if (bids.size < mostNodes) bids.set(nodeOf(bid), bid);
  }

  /** Somebody has seen a bid. */
  acknowledge(id: string, hostname: string, now: number): void {
    const { acks } = this.#at(id, now);
    if (acks.size < mostNodes) acks.add(hostname);
  }

  /** Whether all of `alive`, and whoever else has bid, have bid and answered. */
  isComplete(id: string, alive: Iterable<string>, now: number): boolean {
    const { acks, bids, isDecided, isEntered } = this.#at(id, now);
    if (!isEntered || isDecided) return false;
    const bidders = new Set([...bids.values()].map(({ hostname }) => hostname));
    return [...alive, ...bidders].every((hostname) => bidders.has(hostname) && acks.has(hostname));
  }

  /** The winner among those that have bid; given once. */
  close(id: string, now: number): Bid | undefined {
    const election = this.#at(id, now);
    if (!election.isEntered || election.isDecided) return undefined;
    election.isDecided = true;
    const [winner] = [...election.bids.values()].sort((a, b) => a.clock - b.clock || (nodeOf(a) < nodeOf(b) ? -1 : 1));
    return winner;
  }

  #at(id: string, now: number): Election {
    const known = this.#elections.get(id);
    if (known !== undefined && now - known.startedAt < rememberedMs) return known;
    const election = { bids: new Map(), acks: new Set<string>(), isEntered: false, isDecided: false, startedAt: now };
    this.#elections.delete(id);
    this.#elections.set(id, election);
    const [oldest] = this.#elections.keys();
    if (this.#elections.size > mostElections && oldest !== undefined) this.#elections.delete(oldest);
    return election;
  }
}

/** A worker's full name, as Celery compares it: `celery@host.4711`. */
export function nodeOf({ hostname, pid }: Pick<Bid, 'hostname' | 'pid'>): string {
  return `${hostname}.${pid}`;
}

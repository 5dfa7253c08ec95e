/**
 * Elections among workers, the rule alone: everybody bids, everybody answers when it has all bids, and when all have
 * answered the bid with the lowest clock wins (on a tie the lower name), which is what Celery's workers find too. Pure.
 *
 *   entered ──bids of all──▶ answered ──answers of all──▶ decided, once; later news of it is ignored for a while
 *
 * Celery's workers answer each bid as it comes. We answer once, late: a Python worker that counts an answer while it
 * knows of one bid only ends with an IndexError.
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
  /** This worker has said that it has all bids. */
  isAnswered: boolean;
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

  bid(id: string, bid: Bid, now: number): void {
    const { bids } = this.#at(id, now);
    if (bids.size < mostNodes) bids.set(nodeOf(bid), bid);
  }

  /** Somebody has answered. */
  acknowledge(id: string, hostname: string, now: number): void {
    const { acks } = this.#at(id, now);
    if (acks.size < mostNodes) acks.add(hostname);
  }

  /** Whether it is time to answer: true once, when all of `alive` have bid. */
  answer(id: string, alive: Iterable<string>, now: number): boolean {
    const election = this.#at(id, now);
    if (!election.isEntered || election.isAnswered || election.isDecided) return false;
    const bidders = biddersOf(election);
    election.isAnswered = [...alive].every((hostname) => bidders.has(hostname));
    return election.isAnswered;
  }

  /** Whether all of `alive`, and whoever else has bid, have bid and answered. */
  isComplete(id: string, alive: Iterable<string>, now: number): boolean {
    const election = this.#at(id, now);
    if (!election.isEntered || election.isDecided) return false;
    const bidders = biddersOf(election);
    return [...alive, ...bidders].every((hostname) => bidders.has(hostname) && election.acks.has(hostname));
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
    const election: Election = {
      bids: new Map(),
      acks: new Set(),
      isEntered: false,
      isAnswered: false,
      isDecided: false,
      startedAt: now,
    };
    this.#elections.delete(id);
    this.#elections.set(id, election);
    const [oldest] = this.#elections.keys();
    if (this.#elections.size > mostElections && oldest !== undefined) this.#elections.delete(oldest);
    return election;
  }
}

function biddersOf({ bids }: Election): ReadonlySet<string> {
  return new Set([...bids.values()].map(({ hostname }) => hostname));
}

/** A worker's full name, as Celery compares it: `celery@host.4711`. */
export function nodeOf({ hostname, pid }: Pick<Bid, 'hostname' | 'pid'>): string {
  return `${hostname}.${pid}`;
}

/**
 * Workers seeing each other: who is there, and which of them is to do a thing that only one may do (an election).
 * Celery: `celery.worker.consumer.gossip`.
 */
import type { Connection } from '../../amqp/index.ts';
import { type Celery, eventQueueOptions } from '../../app/index.ts';
import type { ClusterState, EventDispatcher, ReceivedEvent } from '../../events/index.ts';
import { EventReceiver } from '../../events/index.ts';

/** One election: the bids so far and who has seen them. */
interface Vote {
  readonly bids: { readonly clock: number; readonly node: string; readonly topic: string; readonly action: unknown }[];
  readonly acks: Set<string>;
  isDone: boolean;
}

export interface GossipOptions {
  readonly app: Celery;
  readonly nodeName: string;
  readonly connection: Connection;
  readonly events: EventDispatcher;
}

const mostVotes = 1_000;

export class Gossip {
  readonly #given: GossipOptions;
  readonly #state: ClusterState;
  readonly #votes = new Map<string, Vote>();
  #receiver: EventReceiver | undefined;

  private constructor(given: GossipOptions) {
    this.#given = given;
    const { log } = given.app.system;
    this.#state = given.app.events.state({
      maxTasks: 1,
      onNodeJoin: ({ hostname }) => {
        if (hostname !== given.nodeName) log.debug({ node: hostname }, 'A worker joined');
      },
      onNodeLeave: ({ hostname }) => {
        if (hostname !== given.nodeName) log.info({ node: hostname }, 'A worker left');
      },
    });
  }

  static async open(given: GossipOptions): Promise<Gossip> {
    const gossip = new Gossip(given);
    const { app, connection, nodeName } = given;
    gossip.#receiver = await EventReceiver.open({
      connection,
      codec: app.codec,
      clock: app.remote.clock,
      system: app.system,
      ownNode: nodeName,
      ...eventQueueOptions(app.config),
      routingKey: 'worker.#',
      handlers: {
        'worker-elect': (event) => gossip.#onBid(event),
        'worker-elect-ack': (event) => gossip.#onAck(event),
        '*': (event) => void gossip.#state.event(event),
      },
    });
    return gossip;
  }

  /** Workers that are alive, this one included. */
  get alive(): readonly string[] {
    return [...this.#state.aliveWorkers()].map(({ hostname }) => hostname);
  }

  /** Bids in an election; whoever bid at the earliest clock does the action. */
  elect(id: string, topic: string, action: unknown): void {
    this.#vote(id);
    this.#given.events.send('worker-elect', { id, topic, action, cver: 1 });
  }

  async close(): Promise<void> {
    await this.#receiver?.close();
  }

  #onBid(event: ReceivedEvent): void {
    const { action, clock, id, pid, topic } = event as ReceivedEvent & {
      id?: unknown;
      topic?: unknown;
      action?: unknown;
    };
    if (typeof id !== 'string' || typeof topic !== 'string') return;
    const bid = { clock: typeof clock === 'number' ? clock : 0, node: `${event.hostname}.${pid ?? 0}`, topic, action };
    this.#vote(id).bids.push(bid);
    this.#given.events.send('worker-elect-ack', { id });
  }

  #onAck(event: ReceivedEvent): void {
    const { id } = event as ReceivedEvent & { id?: unknown };
    const vote = typeof id === 'string' ? this.#votes.get(id) : undefined;
    if (vote === undefined || vote.isDone || typeof id !== 'string') return;
    vote.acks.add(event.hostname);
    if (vote.acks.size < Math.max(1, this.alive.length)) return;
    vote.isDone = true;
    this.#votes.delete(id);
    const [winner] = [...vote.bids].sort((a, b) => a.clock - b.clock || (a.node < b.node ? -1 : 1));
    if (winner === undefined) return;
    const { app, nodeName } = this.#given;
    app.system.log.debug({ id, winner: winner.node, topic: winner.topic }, 'An election is decided');
    if (winner.node !== `${nodeName}.${app.system.pid}` || winner.topic !== 'task') return;
    this.#act(winner.action);
  }

  /** The winner sends the signature that was voted for. */
  #act(action: unknown): void {
    const { app } = this.#given;
    const map = action as { task?: unknown } | null;
    if (typeof map !== 'object' || map === null || typeof map.task !== 'string') return;
    const { args = [], kwargs = {}, options = {}, ...rest } = map as Record<string, never>;
    app
      .signature({ args, kwargs, options, subtask_type: null, immutable: false, ...rest } as never)
      .applyAsync()
      .catch((error: unknown) => app.system.log.error({ err: error }, 'The task of an election could not be sent'));
  }

  #vote(id: string): Vote {
    const known = this.#votes.get(id);
    if (known !== undefined) return known;
    const vote: Vote = { bids: [], acks: new Set(), isDone: false };
    this.#votes.set(id, vote);
    const oldest = this.#votes.keys().next().value;
    if (this.#votes.size > mostVotes && oldest !== undefined) this.#votes.delete(oldest);
    return vote;
  }
}

/**
 * Workers seeing each other: who is there, who is gone, and which of them is to do a thing that only one may do.
 * Celery: `celery.worker.consumer.gossip`.
 */
import type { Connection } from '../../amqp/index.ts';
import { type Celery, eventQueueOptions } from '../../app/index.ts';
import { ImproperlyConfigured } from '../../core/errors.ts';
import {
  type ClusterState,
  type EventDispatcher,
  EventReceiver,
  type ReceivedEvent,
  softwareInfo,
} from '../../events/index.ts';
import { type Bid, Elections, nodeOf } from './elections.ts';

export interface GossipOptions {
  readonly app: Celery;
  readonly nodeName: string;
  readonly connection: Connection;
  readonly events: EventDispatcher;
}

/** How often it is looked whether somebody has fallen silent. */
const lookMs = 5_000;
/** An election is decided by then, with whoever has bid: some that are alive may take no part. */
const electionMs = 5_000;
/** When all that are known have bid, a newcomer that nobody knows yet may still be about to. */
const graceMs = 200;

/**
 * A Python worker decides as soon as enough answers of its own are back, perhaps before our bid has come: it and we would
 * both win. Beside one we bid this much later by the logical clock, so that it always wins.
 */
const headStart = 1_000_000;
const ownIdent = softwareInfo('', '').swIdent;

export class Gossip {
  readonly #given: GossipOptions;
  readonly #state: ClusterState;
  readonly #elections = new Elections();
  /** Elections in their last moments. */
  readonly #deciding = new Set<string>();
  /** Said to be lost; said again only when they came back in between. */
  readonly #lost = new Set<string>();
  #receiver: EventReceiver | undefined;
  #cancelLook: (() => void) | undefined;
  #isClosed = false;

  private constructor(given: GossipOptions) {
    this.#given = given;
    const log = given.app.system.log.child({ name: 'celery.worker.consumer.gossip' });
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
      // Those that are here already are seen at once, and not only with their next heartbeats.
      wakeWorkers: () => app.remote.mailbox.cast('heartbeat', {}),
      handlers: {
        'worker-elect': (event) => gossip.#onBid(event),
        'worker-elect-ack': (event) => gossip.#onAck(event),
        '*': (event) => gossip.#state.event(event),
      },
    });
    gossip.#look();
    return gossip;
  }

  /** Workers that are alive, this one included. */
  get alive(): readonly string[] {
    const { nodeName } = this.#given;
    return [...new Set([nodeName, ...this.#state.aliveWorkers().map(({ hostname }) => hostname)])];
  }

  /** Takes part in an election; the winner does the action. */
  elect(id: string, topic: string, action: unknown): void {
    const { app, events } = this.#given;
    const { system } = app;
    const { clock } = app.remote;
    if (!this.#elections.enter(id, system.monotonic())) return;
    if (this.#hasForeignPeers) clock.adjust(clock.value + headStart);
    events.send('worker-elect', { id, topic, action, cver: 1 });
    system.after(electionMs, () => this.#close(id));
  }

  get #hasForeignPeers(): boolean {
    return this.#state.aliveWorkers().some(({ swIdent }) => swIdent !== undefined && swIdent !== ownIdent);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelLook?.();
    await this.#receiver?.close();
  }

  #onBid(event: ReceivedEvent): void {
    const { action, clock, hostname, id, pid, topic } = event;
    if (!isId(id) || typeof topic !== 'string') return;
    const { system } = this.#given.app;
    const now = system.monotonic();
    this.#elections.bid(id, { clock: clock ?? 0, hostname, pid: pid ?? 'None', topic, action }, now);
    if (this.#elections.answer(id, this.alive, now)) this.#given.events.send('worker-elect-ack', { id });
    this.#decide(id);
  }

  #onAck({ hostname, id }: ReceivedEvent): void {
    if (!isId(id)) return;
    this.#elections.acknowledge(id, hostname, this.#given.app.system.monotonic());
    this.#decide(id);
  }

  #decide(id: string): void {
    const { system } = this.#given.app;
    if (this.#deciding.has(id) || !this.#elections.isComplete(id, this.alive, system.monotonic())) return;
    this.#deciding.add(id);
    system.after(graceMs, () => this.#close(id));
  }

  #close(id: string): void {
    this.#deciding.delete(id);
    if (this.#isClosed) return;
    const winner = this.#elections.close(id, this.#given.app.system.monotonic());
    if (winner !== undefined) this.#end(winner, id);
  }

  #end(winner: Bid, id: string): void {
    const { app, nodeName } = this.#given;
    const { log, pid } = app.system;
    const isOurs = nodeOf(winner) === nodeOf({ hostname: nodeName, pid });
    log.info({ id, winner: nodeOf(winner), topic: winner.topic }, 'An election is decided');
    if (!isOurs) return;
    if (winner.topic === 'task') this.#sendTask(winner.action);
    else log.error({ id, topic: winner.topic }, 'An election was won whose topic nobody here knows');
  }

  /** The winner sends the signature that was voted for. */
  #sendTask(action: unknown): void {
    const { app } = this.#given;
    const complain = (error: unknown): void =>
      app.system.log.error({ err: error }, 'The task of an election could not be sent');
    try {
      app.signature(signatureOf(action)).applyAsync().catch(complain);
    } catch (error) {
      complain(error);
    }
  }

  /** Who has not been heard of for two heartbeats is lost. */
  #look(): void {
    const { log } = this.#given.app.system;
    for (const { alive, hostname } of this.#state.workers.values()) {
      if (alive) this.#lost.delete(hostname);
      else if (!this.#lost.has(hostname) && this.#lost.size < mostLost) {
        this.#lost.add(hostname);
        log.info({ node: hostname }, 'Missed heartbeats of a worker');
      }
    }
    this.#cancelLook = this.#given.app.system.after(lookMs, () => this.#look());
  }
}

const mostLost = 1_000;
const longestId = 1_000;

function isId(id: unknown): id is string {
  return typeof id === 'string' && id !== '' && id.length <= longestId;
}

/** What was voted for, as a signature; Celery's own defaults where a field is missing. @throws {ImproperlyConfigured} */
function signatureOf(action: unknown): Parameters<Celery['signature']>[0] {
  if (typeof action !== 'object' || action === null || !('task' in action) || typeof action.task !== 'string') {
    throw new ImproperlyConfigured('The action of an election should be a signature: { task, args, kwargs, options }.');
  }
  const { args = [], kwargs = {}, options = {}, subtask_type = null, immutable = false } = action as SignatureFields;
  if (!Array.isArray(args) || !isMap(kwargs) || !isMap(options)) {
    throw new ImproperlyConfigured(
      'The signature of an election has args that are no list, or kwargs or options that are no map.',
    );
  }
  return {
    ...action,
    task: action.task,
    args,
    kwargs,
    options,
    subtask_type: typeof subtask_type === 'string' ? subtask_type : null,
    immutable: immutable === true,
  };
}

type SignatureFields = Partial<Record<'args' | 'kwargs' | 'options' | 'subtask_type' | 'immutable', unknown>>;

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

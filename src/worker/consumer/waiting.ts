/**
 * Messages whose time has not come: near ones are held here, unacknowledged; far ones go to the broker's delay levels,
 * confirmed there before they are acknowledged here.
 */
import { delayExchange } from '../../amqp/index.ts';
import { type Celery, delayOf } from '../../app/index.ts';
import type { Publication } from '../../core/envelope.ts';
import type { Logger, System } from '../../core/system.ts';
import { withoutBrokerHeaders } from '../../message/index.ts';
import type { Request } from '../request.ts';

export interface WaitingOptions {
  readonly app: Celery;
  readonly system: System;
  readonly log: Logger;
  /** A held message's time has come. */
  readonly onDue: (request: Request) => void;
  /** How many others need room in the prefetch for has changed. */
  readonly onHeld: (count: number) => void;
}

export class Waiting {
  readonly #given: WaitingOptions;
  readonly #held = new Map<Request, { readonly until: number; readonly cancel: () => void }>();
  readonly #parking = new Set<Promise<void>>();
  /** Messages given to the broker's delay levels by this worker. */
  parked = 0;

  constructor(given: WaitingOptions) {
    this.#given = given;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Messages that others should not have to wait behind: those held, and a good many of those on their way to the broker. */
  get room(): number {
    return this.#held.size + Math.min(this.#parking.size, mostParkedAtOnce);
  }

  /** Held messages and when they are due (epoch ms). */
  entries(): { readonly request: Request; readonly until: number }[] {
    return [...this.#held].map(([request, { until }]) => ({ request, until }));
  }

  hold(request: Request, until: number): void {
    const { onDue, onHeld, system } = this.#given;
    const cancel = system.after(until - system.now(), () => {
      if (this.#take(request)) onDue(request);
    });
    this.#held.set(request, { until, cancel });
    onHeld(this.room);
  }

  /** To the delay levels, then acknowledged. What cannot be parked (a key too long, a publish that fails) is held. */
  park(request: Request, until: number): void {
    const publication = this.#delayed(request, until);
    if (publication === undefined) return this.hold(request, until);
    const { app, log, onHeld } = this.#given;
    const parking = app.publish(publication).then(
      () => {
        this.parked += 1;
        request.delivery.ack();
      },
      (error: unknown) => {
        log.warn(
          { err: error, taskId: request.id },
          'A delayed task could not be parked on the broker; it is held here',
        );
        this.hold(request, until);
      },
    );
    this.#parking.add(parking);
    onHeld(this.room);
    void parking.then(() => {
      this.#parking.delete(parking);
      onHeld(this.room);
    });
  }

  /** Takes out what is held and matches. */
  takeIf(matches: (request: Request) => boolean): Request[] {
    const taken = [...this.#held.keys()].filter(matches);
    for (const request of taken) {
      this.#held.get(request)?.cancel();
      this.#take(request);
    }
    return taken;
  }

  /** Lets go of everything: what is held goes back to its queue when the channel closes. */
  async stop(): Promise<void> {
    for (const { cancel } of this.#held.values()) cancel();
    this.#held.clear();
    await Promise.all(this.#parking);
  }

  #take(request: Request): boolean {
    const isHeld = this.#held.delete(request);
    if (isHeld) this.#given.onHeld(this.room);
    return isHeld;
  }

  #delayed(request: Request, until: number): Publication | undefined {
    const { app, system } = this.#given;
    const { exchange, routingKey } = request.info;
    const key = delayOf(app.config, until - system.now(), { exchange, routingKey });
    if (key === undefined) return undefined;
    const { body, properties } = request.delivery.envelope;
    const { expiration: _cutsLevelsShort, ...kept } = properties;
    // A trace of an earlier delay would look like a cycle to the broker, and it drops what goes in a cycle.
    const own = withoutBrokerHeaders(request.message.headers);
    const headers = key.cc.length === 0 ? own : { ...own, CC: key.cc };
    return {
      envelope: { properties: kept, headers, body },
      exchange: delayExchange,
      routingKey: key.routingKey,
      confirm: true,
      mandatory: true,
      queue: exchange === '' ? routingKey : undefined,
      delayedTo: { exchange, routingKey },
    };
  }
}

/** More would only make a killed worker repeat more. */
const mostParkedAtOnce = 32;

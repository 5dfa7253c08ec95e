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
  readonly #held = new Map<Request, { readonly until: number; cancel: () => void }>();
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

  /** Until the wall clock says so, wherever it jumps meanwhile; a turn comes by the time that passes. */
  hold(request: Request, until: number): void {
    this.#hold(request, until, until);
  }

  /** To the delay levels, then acknowledged. What cannot be parked (a key too long, a publish that fails) is held, and tried again. */
  park(request: Request, until: number): void {
    const { app, log, onHeld, system } = this.#given;
    const holdHere = (): void => this.#hold(request, until, Math.min(until, system.now() + parkAgainMs));
    const publication = this.#delayed(request, until);
    if (publication === undefined) return holdHere();
    const parking = app.publish(publication).then(
      () => {
        this.parked += 1;
        request.delivery.ack();
      },
      (error: unknown) => {
        log.warn(
          { err: error, taskId: request.id },
          'A delayed task could not be parked on the broker; it is held here for a while, then tried again',
        );
        holdHere();
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
    for (const armed of this.#held.values()) armed.cancel();
    this.#held.clear();
    await Promise.all(this.#parking);
  }

  /** `lookAt`: when somebody decides about it again (epoch ms); `until` is for whoever asks. */
  #hold(request: Request, until: number, lookAt: number): void {
    const { onDue, onHeld, system } = this.#given;
    const armed = { until, cancel: (): void => undefined };
    const arm = (): void => {
      const leftMs = lookAt - system.now();
      armed.cancel = system.after(request.hasTurn ? leftMs : Math.min(leftMs, lookAgainMs), () => {
        if (!request.hasTurn && system.now() < lookAt) arm();
        else if (this.#take(request)) onDue(request);
      });
    };
    arm();
    this.#held.set(request, armed);
    onHeld(this.room);
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
/** A wall clock that jumps is noticed after so long at most. */
const lookAgainMs = 30_000;
/** What could not be parked is held for so long, and not until its time: a broker takes back what is held for too long. */
const parkAgainMs = 60_000;

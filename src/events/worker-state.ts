/** What is known of one worker from what it announces. Alive by our own clock: a host with a wrong one is not declared dead. */
import type { System } from '../core/system.ts';
import type { ReceivedEvent } from './receiver.ts';

/** Percent of its own heartbeat interval after which a worker that is silent counts as gone. */
export const heartbeatExpireWindow = 200;

const heartbeatsKept = 4;
const defaultFreqSeconds = 60;
const longestFreqSeconds = 86_400;

/** Celery: `celery.events.state.Worker`. */
export class WorkerState {
  readonly hostname: string;
  readonly #system: System;
  readonly #heartbeats: number[] = [];
  pid: number | undefined;
  /** Seconds between two heartbeats. */
  freq = defaultFreqSeconds;
  clock = 0;
  /** Tasks running. */
  active: number | undefined;
  /** Tasks accepted since the start. */
  processed: number | undefined;
  /** Over 1, 5 and 15 minutes. */
  loadavg: readonly number[] | undefined;
  swIdent: string | undefined;
  swVer: string | undefined;
  swSys: string | undefined;

  constructor(hostname: string, system: System) {
    this.hostname = hostname;
    this.#system = system;
  }

  /** When it was heard of, the last four times: epoch ms of this host. */
  get heartbeats(): readonly number[] {
    return this.#heartbeats;
  }

  /** Epoch ms of this host; undefined when it was never heard of, or said goodbye. */
  get heartbeatExpires(): number | undefined {
    const last = this.#heartbeats.at(-1);
    return last === undefined ? undefined : last + this.freq * heartbeatExpireWindow * 10;
  }

  get alive(): boolean {
    const { heartbeatExpires } = this;
    return heartbeatExpires !== undefined && this.#system.now() < heartbeatExpires;
  }

  get statusString(): 'ONLINE' | 'OFFLINE' {
    return this.alive ? 'ONLINE' : 'OFFLINE';
  }

  /** `<hostname>.<pid>`. */
  get id(): string {
    return `${this.hostname}.${this.pid ?? 'None'}`;
  }

  /** Takes in an event of the worker itself. What has the wrong type is as if it had not been said. */
  learn(subject: string, event: ReceivedEvent): void {
    const { freq, loadavg } = event;
    this.pid = integer(event.pid) ?? this.pid;
    this.clock = integer(event.clock) ?? this.clock;
    if (typeof freq === 'number' && freq > 0) this.freq = Math.min(freq, longestFreqSeconds);
    this.active = integer(event.active) ?? this.active;
    this.processed = integer(event.processed) ?? this.processed;
    if (Array.isArray(loadavg)) this.loadavg = loadavg.filter((load) => typeof load === 'number').slice(0, 3);
    this.swIdent = text(event.swIdent) ?? this.swIdent;
    this.swVer = text(event.swVer) ?? this.swVer;
    this.swSys = text(event.swSys) ?? this.swSys;
    if (subject === 'offline') this.#heartbeats.length = 0;
    else this.beat(event.localReceived);
  }

  /** It was heard of. Times may come out of order; the last four are kept in order. */
  beat(at: number): void {
    let index = this.#heartbeats.length;
    while (index > 0 && (this.#heartbeats[index - 1] ?? 0) > at) index -= 1;
    this.#heartbeats.splice(index, 0, at);
    if (this.#heartbeats.length > heartbeatsKept) this.#heartbeats.shift();
  }

  toJSON(): Record<string, unknown> {
    const { hostname, pid, freq, heartbeats, clock, active, processed, loadavg, swIdent, swVer, swSys, alive } = this;
    return { hostname, pid, freq, heartbeats, clock, active, processed, loadavg, swIdent, swVer, swSys, alive };
  }
}

function integer(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? Number(value) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

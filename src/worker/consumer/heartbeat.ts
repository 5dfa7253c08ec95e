/**
 * The worker's pulse: `worker-online` at the start, `worker-heartbeat` every few seconds, `worker-offline` at the end.
 */
import { loadavg } from 'node:os';
import type { Celery } from '../../app/index.ts';
import { type EventDispatcher, heartbeatFields, type SoftwareInfo, type WorkerVitals } from '../../events/index.ts';
import type { TaskService } from './tasks.ts';

export interface HeartbeatOptions {
  readonly app: Celery;
  readonly events: EventDispatcher;
  readonly tasks: TaskService;
  readonly software: SoftwareInfo;
  /** Seconds between two beats. Default 2. */
  readonly intervalSeconds?: number | undefined;
  /** Say nothing by itself (`--without-heartbeat`); only answers the control command. */
  readonly isSilent?: boolean | undefined;
}

export class Heartbeat {
  readonly #given: HeartbeatOptions;
  readonly #freq: number;
  #cancel: (() => void) | undefined;

  constructor(given: HeartbeatOptions) {
    this.#given = given;
    this.#freq = given.intervalSeconds ?? 2;
  }

  start(): void {
    if (this.#given.isSilent === true) return;
    this.#send('worker-online');
    this.#arm();
  }

  /** The answer to the control command: says that the worker is there, now. */
  announce(): void {
    const { events, software } = this.#given;
    events.send('worker-heartbeat', heartbeatFields(software));
  }

  close(): void {
    if (this.#cancel === undefined) return;
    this.#cancel();
    this.#cancel = undefined;
    this.#send('worker-offline');
  }

  #arm(): void {
    const { app } = this.#given;
    this.#cancel = app.system.after(this.#freq * 1000, () => {
      this.#send('worker-heartbeat');
      if (app.signals.heartbeatSent.hasReceivers) void app.signals.heartbeatSent.send(this, {});
      this.#arm();
    });
  }

  #send(type: string): void {
    const { events, software, tasks } = this.#given;
    const vitals: WorkerVitals = {
      freq: this.#freq,
      active: tasks.running.size,
      processed: tasks.processed,
      loadavg: loadavg(),
    };
    events.send(type, heartbeatFields(software, vitals));
  }
}

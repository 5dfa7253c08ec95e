/**
 * Events as lines, in the words of `celery events --dump`: who, when, what, and the other fields by their names on the
 * wire. The name of a task is told by its first events only, so the last few thousand are remembered.
 */
import type { ReceivedEvent } from '../events/index.ts';
import { eventToWire, pythonRepr } from '../message/index.ts';
import { printableLine } from './style.ts';

const wordsOfType: Readonly<Record<string, string>> = {
  'worker-offline': 'shutdown',
  'worker-online': 'started',
  'worker-heartbeat': 'heartbeat',
};

/** Celery remembers as many. */
const mostNames = 4095;

export class EventLines {
  readonly #names = new Map<string, string>();

  /** `worker1@host [2026-01-31 12:00:00.123456+00:00] task received: tasks.add(<id>) args=(1, 2) kwargs={} clock=5, …` */
  line(event: ReceivedEvent): string {
    const { hostname, timestamp: _timestamp, type: _type, ...fields } = eventToWire(event);
    fields.local_received = event.localReceived / 1000;
    const type = event.type.toLowerCase();
    const about = type.startsWith('task-') ? `${this.#task(type, fields)} ` : '';
    const shown = Object.keys(fields)
      .sort()
      .filter((field) => fields[field] !== undefined)
      .map((field) => `${field}=${text(fields[field])}`);
    const words = wordsOfType[type] ?? type.replaceAll('-', ' ');
    return printableLine(
      `${text(hostname)} [${pythonTime(event.timestamp)}] ${words}${shown.length > 0 ? ':' : ''} ${about}${shown.join(', ')}`,
    );
  }

  /** Takes the fields it shows out of the event's. */
  #task(type: string, fields: Record<string, unknown>): string {
    const { args, kwargs, name, uuid } = fields;
    const id = text(uuid);
    delete fields.uuid;
    if (type !== 'task-received' && type !== 'task-sent') return this.#names.get(id) ?? id;
    for (const field of ['name', 'args', 'kwargs']) delete fields[field];
    const task = `${text(name)}(${id}) args=${text(args)} kwargs=${text(kwargs)}`;
    this.#names.delete(id);
    this.#names.set(id, task);
    const [oldest] = this.#names.keys();
    if (this.#names.size > mostNames && oldest !== undefined) this.#names.delete(oldest);
    return task;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : pythonRepr(value);
}

/** As Python writes a datetime in UTC: microseconds only where there are some. */
export function pythonTime(at: number): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return '?';
  const [day = '', clock = ''] = time.toISOString().split('T');
  const microseconds = Math.floor((((at % 1000) + 1000) % 1000) * 1000);
  const fraction = microseconds === 0 ? '' : `.${String(microseconds).padStart(6, '0')}`;
  return `${day} ${clock.slice(0, 8)}${fraction}+00:00`;
}

/**
 * What is known of one task from what is announced of it. Events come out of order: a later state is not undone by an
 * earlier event, which still fills in what only it knows (name and arguments come with `task-received`).
 */
import { precedence, readyStates } from '../core/states.ts';
import type { ReceivedEvent } from './receiver.ts';
import type { WorkerState } from './worker-state.ts';

const stateOfEvent = {
  sent: 'PENDING',
  received: 'RECEIVED',
  started: 'STARTED',
  failed: 'FAILURE',
  retried: 'RETRY',
  succeeded: 'SUCCESS',
  revoked: 'REVOKED',
  rejected: 'REJECTED',
} as const satisfies Record<string, string>;

/** Names of `task-…` events that stand for a state of Celery's own. */
export type TaskSubject = keyof typeof stateOfEvent;

/** What a late `task-received` may still tell. */
const keptFromReceived: ReadonlySet<string> = new Set([
  'name',
  'args',
  'kwargs',
  'parentId',
  'rootId',
  'retries',
  'eta',
  'expires',
]);

/** The fields of events that have a place of their own, and what each must be to be believed. */
const typeOfField = {
  name: 'string',
  args: 'string',
  kwargs: 'string',
  eta: 'string',
  expires: 'string',
  retries: 'number',
  result: 'string',
  exception: 'string',
  traceback: 'string',
  runtime: 'number',
  queue: 'string',
  exchange: 'string',
  routingKey: 'string',
  rootId: 'string',
  parentId: 'string',
  clock: 'number',
} as const satisfies Record<string, 'string' | 'number'>;

/** `args` and `kwargs` are repr texts, `eta` and `expires` ISO texts, `runtime` seconds. */
export type TaskFields = {
  -readonly [F in keyof typeof typeOfField]?: (typeof typeOfField)[F] extends 'number' ? number : string;
};

const sharedFields: ReadonlySet<string> = new Set([
  'type',
  'uuid',
  'hostname',
  'pid',
  'utcoffset',
  'timestamp',
  'localReceived',
]);
const mostExtras = 100;

/** What `info()` shows when nothing else is asked for. */
const infoFields = [
  'args',
  'kwargs',
  'retries',
  'result',
  'eta',
  'runtime',
  'expires',
  'exception',
  'exchange',
  'routingKey',
  'rootId',
  'parentId',
] as const;

/** Celery: `celery.events.state.Task`. */
export class TaskState {
  readonly uuid: string;
  state = 'PENDING';
  /** When the event that set the state was sent: epoch ms of its sender. */
  timestamp: number | undefined;
  /** When each event was sent: epoch ms of its sender. */
  readonly times: { [S in TaskSubject]?: number } = {};
  readonly fields: TaskFields = {};
  /** What else events said, of the user's own `task-…` events say. */
  readonly extra: Record<string, unknown> = Object.create(null);
  /** The worker that has it or had it last. */
  worker: WorkerState | undefined;
  /** The node that sent it, if that announced it. */
  client: string | undefined;

  constructor(uuid: string) {
    this.uuid = uuid;
  }

  get id(): string {
    return this.uuid;
  }

  get name(): string | undefined {
    return this.fields.name;
  }

  get clock(): number {
    return this.fields.clock ?? 0;
  }

  get ready(): boolean {
    return readyStates.has(this.state);
  }

  /** The id of its worker, else the client. */
  get origin(): string | undefined {
    return this.worker === undefined ? this.client : this.worker.id;
  }

  /** Takes in one event of the task. */
  learn(subject: string, event: ReceivedEvent): void {
    const isOwn = isTaskSubject(subject);
    if (isOwn) this.times[subject] = event.timestamp;
    const state = isOwn ? stateOfEvent[subject] : subject.toUpperCase();
    const isLate = state !== 'RETRY' && this.state !== 'RETRY' && precedence(state) > precedence(this.state);
    for (const [field, value] of Object.entries(event)) {
      if (!sharedFields.has(field) && !(isLate && state === 'RECEIVED' && !keptFromReceived.has(field))) {
        this.#take(field, value);
      }
    }
    if (isLate) return;
    this.state = state;
    this.timestamp = event.timestamp;
  }

  /** What is known, without what is not. Celery: `Task.info`. */
  info(fields: readonly (keyof TaskFields)[] = infoFields): Partial<TaskFields> {
    return Object.fromEntries(
      fields.map((field) => [field, this.fields[field]]).filter(([, value]) => value !== undefined),
    );
  }

  toJSON(): Record<string, unknown> {
    const { uuid, state, timestamp, times, fields, extra, client } = this;
    return { uuid, state, timestamp, ...times, ...fields, extra, worker: this.worker?.hostname, client };
  }

  #take(field: string, value: unknown): void {
    if (isTaskField(field)) {
      if (typeof value === typeOfField[field]) Object.assign(this.fields, { [field]: value });
    } else if (field in this.extra || Object.keys(this.extra).length < mostExtras) {
      this.extra[field] = value;
    }
  }
}

function isTaskSubject(subject: string): subject is TaskSubject {
  return Object.hasOwn(stateOfEvent, subject);
}

function isTaskField(field: string): field is keyof TaskFields {
  return Object.hasOwn(typeOfField, field);
}

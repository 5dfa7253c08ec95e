/** Commands about tasks: what is here, what is to be skipped, how often and how long. */
import { ImproperlyConfigured } from '../../core/errors.ts';
import { decodeTaskBody, pythonRepr } from '../../message/index.ts';
import { definition } from '../../task/index.ts';
import { perSecond } from '../rate-limits.ts';
import type { Request } from '../request.ts';
import type { CommandHost, WorkerCommand } from './host.ts';

export const taskCommands: Readonly<Record<string, WorkerCommand>> = {
  active: (host, { safe }) => [...host.tasks.running].map((request) => info(host, request, safe === true)),
  reserved: (host) => reserved(host).map((request) => info(host, request, false)),
  scheduled: (host) =>
    host.tasks.waiting.entries().map(({ request, until }) => ({
      eta: isoMicroseconds(until),
      priority: 6,
      request: info(host, request, false),
    })),
  revoked: (host) => host.revoked.entries(host.app.system.now()).map(([id]) => id),
  registered: (host, { builtins, taskinfoitems }) => registered(host, taskinfoitems, builtins === true),
  query_task: (host, { ids }) => queryTask(host, textList(ids)),
  revoke: (host, { signal, task_id, terminate }) => revoke(host, textList(task_id), terminate === true, signal),
  terminate: (host, { signal, task_id }) => revoke(host, textList(task_id), true, signal),
  revoke_by_stamped_headers: (host, { headers, signal, terminate }) =>
    revokeByStamps(host, headers, terminate === true, signal),
  rate_limit: (host, { rate_limit, task_name }) => rateLimit(host, String(task_name), rate_limit),
  time_limit: (host, { hard, soft, task_name }) => timeLimit(host, String(task_name), soft, hard),
};

function reserved({ tasks }: CommandHost): Request[] {
  return [...tasks.reserved].filter((request) => !tasks.running.has(request));
}

function info(host: CommandHost, request: Request, isSafe: boolean): Record<string, unknown> {
  const { message, startedAt } = request;
  const { exchange, priority, redelivered, routingKey } = request.info;
  return {
    id: request.id,
    name: request.name,
    ...(isSafe ? { args: message.argsRepr ?? '()', kwargs: message.kwargsRepr ?? '{}' } : argumentsOf(host, request)),
    type: message.task,
    hostname: host.nodeName,
    time_start: startedAt === undefined ? null : startedAt / 1000,
    acknowledged: request.delivery.isSettled,
    delivery_info: { exchange, routing_key: routingKey, priority: priority ?? null, redelivered },
    worker_pid: request.workerPid ?? null,
  };
}

/** The values themselves; what cannot be read is shown as text. */
function argumentsOf({ app }: CommandHost, { delivery, message }: Request): { args: unknown; kwargs: unknown } {
  try {
    const { body, properties } = delivery.envelope;
    const { args, kwargs } = decodeTaskBody(message.headers, properties, body, app.codec);
    return { args, kwargs };
  } catch {
    return { args: message.argsRepr ?? '', kwargs: message.kwargsRepr ?? '' };
  }
}

function registered(host: CommandHost, items: unknown, withBuiltins: boolean): string[] {
  const attributes =
    Array.isArray(items) && items.length > 0 ? items.map(String) : ['exchange', 'routing_key', 'rate_limit'];
  const names = host.app.tasks.names().filter((name) => withBuiltins || !name.startsWith('celery.'));
  return names.map((name) => {
    const options = optionsOf(host, name);
    const shown = attributes.flatMap((attribute) => {
      const value = options[attribute.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())];
      return value === undefined || value === null ? [] : [`${attribute}=${String(value)}`];
    });
    return shown.length === 0 ? name : `${name} [${shown.join(' ')}]`;
  });
}

/** The options of a task as they hold here, with what remote control has changed. */
function optionsOf({ app, limits, tasks }: CommandHost, name: string): Readonly<Record<string, unknown>> {
  const task = app.tasks.get(name);
  if (task === undefined) return {};
  const own = { ...task.options, ...task[definition].resolved() };
  const changed = tasks.timeLimits.get(name);
  const times = changed === undefined ? {} : { softTimeLimit: changed.soft, timeLimit: changed.hard };
  return { ...own, ...times, rateLimit: limits.given(name) };
}

function queryTask(host: CommandHost, ids: readonly string[]): Record<string, unknown> {
  const wanted = new Set(ids);
  const found = [...host.tasks.reserved].filter(({ id }) => wanted.has(id));
  return Object.fromEntries(
    found.map((request) => [
      request.id,
      [host.tasks.running.has(request) ? 'active' : 'reserved', info(host, request, false)],
    ]),
  );
}

function revoke(host: CommandHost, ids: readonly string[], terminate: boolean, signal: unknown): unknown {
  if (ids.length === 0) throw new ImproperlyConfigured('revoke needs at least one task id.');
  const killSignal = signalName(signal);
  const ended = host.tasks.revoke(ids, { terminate, killSignal });
  if (!terminate) return { ok: `tasks {${ids.map((id) => pythonRepr(id)).join(', ')}} flagged as revoked` };
  return { ok: ended.length === 0 ? 'terminate: tasks unknown' : `terminate: ${ended.join(', ')}` };
}

function revokeByStamps(host: CommandHost, given: unknown, terminate: boolean, signal: unknown): unknown {
  const headers = stampsOf(given);
  host.revoked.addStamps(headers);
  const now = host.app.system.now();
  const shown = pythonRepr(headers, 1000);
  const matching = [...host.tasks.reserved].filter(({ message }) => host.revoked.has(message, now)).map(({ id }) => id);
  host.tasks.discardRevoked();
  if (!terminate) return { ok: `headers ${shown} flagged as revoked, but not terminated` };
  const ended = host.tasks.revoke(matching, { terminate, killSignal: signalName(signal) });
  return { ok: ended.length === 0 ? `headers ${shown} were not terminated` : `headers ${shown} revoked` };
}

/** `{ tenant: ['a'] }`, or `['tenant=a']` from a command line. */
function stampsOf(given: unknown): Readonly<Record<string, unknown>> {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given as Record<string, unknown>;
  const stamps: Record<string, string[]> = {};
  for (const pair of textList(given)) {
    const [name = '', ...value] = pair.split('=');
    stamps[name] = [...(stamps[name] ?? []), value.join('=')];
  }
  return stamps;
}

function rateLimit(host: CommandHost, name: string, limit: unknown): unknown {
  if (!host.app.tasks.has(name)) return { error: 'unknown task' };
  if (typeof limit !== 'string' && typeof limit !== 'number' && limit !== null) {
    return { error: `Invalid rate limit string: ${pythonRepr(limit, 100)}` };
  }
  try {
    const rate = perSecond(limit);
    host.limits.set(name, limit);
    return { ok: rate === undefined ? 'rate limit disabled successfully' : 'new rate limit set successfully' };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

function timeLimit(host: CommandHost, name: string, soft: unknown, hard: unknown): unknown {
  if (!host.app.tasks.has(name)) return { error: 'unknown task' };
  host.tasks.timeLimits.set(name, { soft: limit(soft), hard: limit(hard) });
  return { ok: 'time limits set successfully' };
}

/** Seconds; 0 and null: none. */
function limit(value: unknown): number | undefined {
  if (typeof value !== 'number' || value === 0) return undefined;
  if (value > 0) return value;
  throw new ImproperlyConfigured('A time limit should be a number of seconds, 0 or more.');
}

/** `SIGKILL`, `KILL`, `kill`, 9 → `SIGKILL`. */
function signalName(given: unknown): string {
  if (typeof given === 'number') return signalsByNumber[given] ?? 'SIGTERM';
  if (typeof given !== 'string' || given === '') return 'SIGTERM';
  if (/^\d+$/.test(given)) return signalsByNumber[Number(given)] ?? 'SIGTERM';
  const upper = given.toUpperCase();
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  if (Object.values(signalsByNumber).includes(name)) return name;
  throw new ImproperlyConfigured(
    `No signal is called '${given}'; known: ${Object.values(signalsByNumber).join(', ')}.`,
  );
}

const signalsByNumber: Readonly<Record<number, string>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  6: 'SIGABRT',
  9: 'SIGKILL',
  10: 'SIGUSR1',
  12: 'SIGUSR2',
  15: 'SIGTERM',
};

function textList(given: unknown): string[] {
  if (typeof given === 'string') return [given];
  if (Array.isArray(given) && given.every((item) => typeof item === 'string')) return given;
  throw new ImproperlyConfigured(`Ids should be a text or a list of texts, not ${pythonRepr(given, 100)}.`);
}

/** As Python writes times: microseconds and an offset. */
function isoMicroseconds(at: number): string {
  return new Date(at).toISOString().replace('Z', '000+00:00');
}

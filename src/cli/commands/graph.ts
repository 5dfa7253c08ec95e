/** `celery-ts graph bootsteps|workers`: what a worker is made of, or which workers there are, as a picture for Graphviz. */
import { Command } from 'commander';
import { maskedUrl, parseBrokerUrls } from '../../amqp/index.ts';
import { type Celery, connectionOptions } from '../../app/index.ts';
import { nearest } from '../../core/nearest.ts';
import { redactText } from '../../core/redact.ts';
import { stepRequirements } from '../../worker/index.ts';
import { type CommandContext, loadCommandApp } from '../context.ts';
import { type DotNode, dot } from '../dot.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';

const workerWords = ['nodes', 'threads', 'wmax', 'tmax', 'title', 'broker', 'backend', 'generic', 'enumerate'] as const;

export const graphCommand: DefineCommand = (context, run) =>
  new Command('graph')
    .description('print a picture for Graphviz: celery-ts graph workers | dot -Tsvg > workers.svg')
    .addCommand(
      new Command('bootsteps')
        .description('draw the steps that a worker starts, each with what must be started before it')
        .argument('[which...]', 'worker, consumer; both by default')
        .action((words: string[], _options: object, command: Command) => run(bootsteps(context, words, command))),
    )
    .addCommand(
      new Command('workers')
        .description('draw the workers that are online with their pools, the broker and the result backend')
        .argument('[words...]', 'what to draw, as below')
        .addHelpText('after', `\n${workersHelp}`)
        .action((words: string[], _options: object, command: Command) => run(workers(context, words, command))),
    );

const workersHelp = `Words:
  nodes:w1,w2    these workers, and nobody is asked
  threads:4,2    the size of each one's pool, with nodes
  wmax:4         workers drawn at most; 0: all
  tmax:3         processes or threads drawn at most for each; 0: all
  title:text     above the picture
  broker:url     another name for the broker
  backend:url    another name for the result backend
  generic        kinds instead of addresses: Broker (amqp://)
  enumerate      numbers instead of names`;

async function bootsteps(context: CommandContext, words: readonly string[], command: Command): Promise<number> {
  const wanted = new Set(words.length === 0 ? ['worker', 'consumer'] : words.map((word) => word.toLowerCase()));
  for (const word of wanted) {
    if (word !== 'worker' && word !== 'consumer') {
      throw new CommandError(`graph bootsteps draws worker and consumer, not '${word}'.`, exitCodes.usage);
    }
  }
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const all = stepRequirements(app);
    const nodes: DotNode[] = [];
    const edges: [string, string][] = [];
    const groups = new Map<string, string[]>();
    for (const blueprint of ['worker', 'consumer'] as const) {
      if (!wanted.has(blueprint)) continue;
      const own = new Set([...app.steps[blueprint]].map(({ name }) => name));
      const ids: string[] = [];
      const idOf = (name: string): string => `${blueprint}.${name}`;
      for (const [name, requires] of all[blueprint]) {
        ids.push(idOf(name));
        nodes.push({ id: idOf(name), label: name, look: own.has(name) ? 'ownStep' : 'step' });
        for (const required of requires) edges.push([idOf(name), idOf(required)]);
      }
      groups.set(blueprint, ids);
    }
    const [lastOfWorker, firstOfConsumer] = [groups.get('worker')?.at(-1), groups.get('consumer')?.[0]];
    if (lastOfWorker !== undefined && firstOfConsumer !== undefined) edges.push([firstOfConsumer, lastOfWorker]);
    context.stdout.write(dot({ name: 'bootsteps', nodes, edges, groups }));
    return exitCodes.done;
  } finally {
    await app.close();
  }
}

async function workers(context: CommandContext, words: readonly string[], command: Command): Promise<number> {
  const given = parseWords(words);
  const [mostWorkers, mostThreads] = [count(given, 'wmax', 4), count(given, 'tmax', 3)];
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const found = namedWorkers(given) ?? (await onlineWorkers(app));
    if (found.length === 0) throw new CommandError('No worker has answered.', exitCodes.unavailable);
    const isGeneric = given.has('generic');
    const url = given.get('broker') ?? parseBrokerUrls(connectionOptions(app, 'read', '').urls).map(maskedUrl)[0] ?? '';
    const nodes: DotNode[] = [{ id: 'broker', label: label('Broker', url, isGeneric), look: 'broker' }];
    const backend = given.get('backend') ?? app.config.resultBackend;
    if (backend !== undefined && backend !== '') {
      nodes.push({ id: 'backend', label: label('Backend', backend, isGeneric), look: 'backend' });
    }
    const edges: [string, string][] = [];
    const drawn = abbreviated(found, mostWorkers, (left) => ({ name: `… ${left} more`, size: 0 }));
    drawn.forEach(({ name, size }, index) => {
      const id = `worker ${index + 1}`;
      const isReal = size > 0;
      nodes.push({ id, label: given.has('enumerate') && isReal ? `Worker ${index + 1}` : name, look: 'worker' });
      for (const { id: other, look } of nodes.slice(0, 2)) if (look !== 'worker') edges.push([id, other]);
      const slots = Array.from({ length: size }, (_, slot) => `P${slot + 1}`);
      abbreviated(slots, mostThreads, (left) => `… ${left} more`).forEach((slot, place) => {
        const slotId = `${id} slot ${place + 1}`;
        nodes.push({ id: slotId, label: slot, look: 'thread' });
        edges.push([slotId, id]);
      });
    });
    context.stdout.write(dot({ name: 'workers', title: given.get('title'), nodes, edges }));
    return exitCodes.done;
  } finally {
    await app.close();
  }
}

interface DrawnWorker {
  readonly name: string;
  readonly size: number;
}

async function onlineWorkers(app: Celery): Promise<DrawnWorker[]> {
  const replies = await app.remote.mailbox.ask('stats', {}, { timeout: 1 });
  return replies
    .map(({ node, value }) => ({ name: node, size: poolSize(value) }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** `{pool: {'max-concurrency': 4}}` */
function poolSize(stats: unknown): number {
  const pool = typeof stats === 'object' && stats !== null && 'pool' in stats ? stats.pool : undefined;
  const size = typeof pool === 'object' && pool !== null ? Reflect.get(pool, 'max-concurrency') : undefined;
  return typeof size === 'number' && Number.isInteger(size) && size > 0 ? size : 1;
}

function namedWorkers(given: ReadonlyMap<string, string>): DrawnWorker[] | undefined {
  const names = given.get('nodes')?.split(',').filter(Boolean);
  const sizes = given.get('threads')?.split(',').filter(Boolean) ?? [];
  if (names === undefined) {
    if (sizes.length > 0) throw new CommandError('threads: goes with nodes:.', exitCodes.usage);
    return undefined;
  }
  return names.map((name, index) => {
    const size = Number(sizes[index] ?? (sizes.length === 1 ? sizes[0] : 1));
    if (!Number.isInteger(size) || size < 1 || size > mostSlots) {
      throw new CommandError(`threads: takes whole numbers from 1 to ${mostSlots}.`, exitCodes.usage);
    }
    return { name, size };
  });
}

const mostSlots = 10_000;

function parseWords(words: readonly string[]): Map<string, string> {
  return new Map(
    words.map((word) => {
      const [name = '', ...rest] = word.split(':');
      if (!(workerWords as readonly string[]).includes(name)) {
        const near = nearest(name, workerWords);
        const hint = near === undefined ? `there are ${workerWords.join(', ')}` : `did you mean '${near}'?`;
        throw new CommandError(`graph workers knows no word '${name}'; ${hint}`, exitCodes.usage);
      }
      return [name, rest.join(':')];
    }),
  );
}

function count(given: ReadonlyMap<string, string>, name: string, byDefault: number): number {
  const value = Number(given.get(name) ?? byDefault);
  if (!Number.isInteger(value) || value < 0) throw new CommandError(`${name}: takes a whole number.`, exitCodes.usage);
  return value === 0 ? Number.POSITIVE_INFINITY : value;
}

/** The first ones, a word for those left out, the last one. */
function abbreviated<T>(all: readonly T[], most: number, others: (left: number) => T): readonly T[] {
  if (all.length <= most) return all;
  const first = all.slice(0, Math.max(0, most - 2));
  return [...first, others(all.length - first.length - 1), ...all.slice(-1)];
}

function label(kind: string, url: string, isGeneric: boolean): string {
  return isGeneric ? `${kind} (${url.split('://')[0]}://)` : redactText(url);
}

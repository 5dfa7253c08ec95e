/**
 * The commands of remote control (celery-protocol.md sections 15.1 and 15.2), one row each: what a worker registers, what
 * the clients offer and what the command line converts, lists and explains are all derived from this table.
 */

/** What an argument must be. The command line converts its words to it. */
export type ArgumentType = 'text' | 'integer' | 'number' | 'flag' | 'list' | 'map' | 'any';

export interface CommandArgument {
  readonly name: string;
  readonly type: ArgumentType;
  /** Without one (and without `isRequired`) a missing argument is `null`. */
  readonly default?: unknown;
  readonly isRequired?: boolean;
}

export interface ControlCommand {
  /** `inspect` commands read, `control` commands change something. */
  readonly kind: 'inspect' | 'control';
  /** A second name, of older peers. */
  readonly alias?: string;
  readonly args: readonly CommandArgument[];
  /** The arguments that the command line takes by position, in order. */
  readonly words: readonly string[];
  /** The argument that takes all further words. */
  readonly variadic?: string;
  /** The arguments as `--help` shows them. */
  readonly signature?: string;
  /** Seconds the command line waits for answers. */
  readonly defaultTimeout: number;
  /** Whether `--list` shows it. */
  readonly isVisible: boolean;
  /** Workers obey and say nothing. */
  readonly isUnanswered?: boolean;
  readonly help: string;
}

const ids = { name: 'task_id', type: 'any', isRequired: true } as const;
const terminate = { name: 'terminate', type: 'flag', default: false } as const;
const killSignal = { name: 'signal', type: 'any', default: 'SIGTERM' } as const;
const taskName = { name: 'task_name', type: 'text', isRequired: true } as const;
const count = { name: 'n', type: 'integer', default: 1 } as const;

/** Celery: `celery.worker.control.Panel`. */
export const commands = {
  report: inspects('Software and settings of the worker.'),
  conf: inspects('Its settings, secrets masked.', {
    alias: 'dump_conf',
    args: [{ name: 'with_defaults', type: 'flag', default: false }],
    words: ['with_defaults'],
    signature: '[include_defaults=False]',
  }),
  query_task: inspects('Finds tasks by id.', {
    args: [{ name: 'ids', type: 'any', isRequired: true }],
    variadic: 'ids',
    signature: '[id1 [id2 [... [idN]]]]',
  }),
  clock: inspects('Its logical clock.'),
  hello: inspects('What workers tell each other at the start.', {
    args: [
      { name: 'from_node', type: 'text', isRequired: true },
      { name: 'revoked', type: 'any' },
    ],
    isVisible: false,
  }),
  ping: inspects('Whether it is there.', { defaultTimeout: 0.2 }),
  stats: inspects('Counters of tasks, pool, broker and process.'),
  scheduled: inspects('Tasks it holds until their time has come.', { alias: 'dump_schedule' }),
  reserved: inspects('Tasks it has received and not started.', { alias: 'dump_reserved' }),
  active: inspects('Tasks it is running.', {
    alias: 'dump_active',
    args: [{ name: 'safe', type: 'flag', default: false }],
  }),
  revoked: inspects('Ids it will not run.', { alias: 'dump_revoked' }),
  registered: inspects('Tasks it knows.', {
    alias: 'dump_tasks',
    args: [
      { name: 'taskinfoitems', type: 'list' },
      { name: 'builtins', type: 'flag', default: false },
    ],
    variadic: 'taskinfoitems',
    signature: '[attr1 [attr2 [... [attrN]]]]',
  }),
  active_queues: inspects('Queues it consumes.'),
  memsample: inspects('A sample of its resident memory.'),
  memdump: inspects('The samples taken so far.', {
    args: [{ name: 'samples', type: 'integer', default: 10 }],
    words: ['samples'],
    signature: '[n_samples=10]',
  }),
  objgraph: inspects('A graph of objects, for leak hunting (Python workers only).', {
    args: [
      { name: 'type', type: 'text', default: 'Request' },
      { name: 'num', type: 'integer', default: 200 },
      { name: 'max_depth', type: 'integer', default: 10 },
    ],
    words: ['type', 'num', 'max_depth'],
    signature: '[object_type=Request] [num=200 [max_depth=10]]',
    defaultTimeout: 60,
  }),
  revoke: controls('Skips tasks by id; with terminate also ends those that run.', {
    args: [ids, terminate, killSignal],
    variadic: 'task_id',
    signature: '[id1 [id2 [... [idN]]]]',
  }),
  revoke_by_stamped_headers: controls('Skips tasks that carry these stamps.', {
    args: [{ name: 'headers', type: 'any', isRequired: true }, terminate, killSignal],
    variadic: 'headers',
    signature: '[key1=value1 [key2=value2 [... [keyN=valueN]]]]',
  }),
  terminate: controls('Skips tasks by id and ends those that run.', {
    args: [{ name: 'signal', type: 'any', isRequired: true }, ids],
    words: ['signal'],
    variadic: 'task_id',
    signature: '<signal> [id1 [id2 [... [idN]]]]',
  }),
  rate_limit: controls('Sets how often a task may start on the worker.', {
    args: [taskName, { name: 'rate_limit', type: 'any', isRequired: true }],
    words: ['task_name', 'rate_limit'],
    signature: '<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>',
  }),
  time_limit: controls('Sets how long a task may run.', {
    args: [taskName, { name: 'soft', type: 'number' }, { name: 'hard', type: 'number' }],
    words: ['task_name', 'soft', 'hard'],
    signature: '<task_name> <soft_secs> [hard_secs]',
  }),
  election: controls('Has the workers choose one among them.', {
    args: [
      { name: 'id', type: 'text', isRequired: true },
      { name: 'topic', type: 'text', isRequired: true },
      { name: 'action', type: 'any' },
    ],
  }),
  enable_events: controls('Has it send task events.'),
  disable_events: controls('Has it send no task events.'),
  heartbeat: controls('Has it send a heartbeat now.'),
  pool_grow: controls('Adds children, threads or slots.', { args: [count], words: ['n'], signature: '[N=1]' }),
  pool_shrink: controls('Takes children, threads or slots away.', { args: [count], words: ['n'], signature: '[N=1]' }),
  pool_restart: controls('Replaces every child.', {
    args: [
      { name: 'modules', type: 'list' },
      { name: 'reload', type: 'flag', default: false },
      { name: 'reloader', type: 'any' },
    ],
  }),
  autoscale: controls('Sets the bounds of the autoscaler.', {
    args: [
      { name: 'max', type: 'integer' },
      { name: 'min', type: 'integer' },
    ],
    words: ['max', 'min'],
    signature: '[max [min]]',
  }),
  shutdown: controls('Stops it warmly. Nobody answers.', {
    isUnanswered: true,
    args: [{ name: 'msg', type: 'text', default: 'Got shutdown from remote' }],
  }),
  add_consumer: controls('Has it consume another queue.', {
    args: [
      { name: 'queue', type: 'text', isRequired: true },
      { name: 'exchange', type: 'text' },
      { name: 'exchange_type', type: 'text', default: 'direct' },
      { name: 'routing_key', type: 'text' },
    ],
    words: ['queue', 'exchange', 'exchange_type', 'routing_key'],
    signature: '<queue> [exchange [type [routing_key]]]',
  }),
  cancel_consumer: controls('Has it leave a queue alone.', {
    args: [{ name: 'queue', type: 'text', isRequired: true }],
    words: ['queue'],
    signature: '<queue>',
  }),
} as const satisfies Record<string, ControlCommand>;

/** The name of a command of Celery's own. */
export type CommandName = keyof typeof commands;

type Particulars = Partial<Omit<ControlCommand, 'kind' | 'help'>>;

function inspects(help: string, more: Particulars = {}): ControlCommand {
  return { kind: 'inspect', args: [], words: [], defaultTimeout: 1, isVisible: true, help, ...more };
}

function controls(help: string, more: Particulars = {}): ControlCommand {
  return { ...inspects(help, more), kind: 'control' };
}

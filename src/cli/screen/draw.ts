/**
 * The monitor's screen as lines: a pure function of what is known of the cluster and of what somebody looks at.
 * Every text of a worker or a task is another host's word and loses its control characters here.
 */
import type { ClusterState, TaskState } from '../../events/index.ts';
import { printable, printableLine, type Style } from '../style.ts';
import { fitted, wrap } from './cells.ts';
import { listed, type Prompt, type Room, selectedIndex, type TextPage, type View } from './view.ts';

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** What stands on the screen and is neither cluster nor view. */
export interface Frame extends ScreenSize {
  /** `celery-ts 0.1.0 · amqp://guest:**@localhost:5672//`. */
  readonly title: string;
  /** Minutes east of UTC that times are shown in. */
  readonly utcOffsetMinutes: number;
  readonly style: Style;
}

const keysOfList = 'j/k or ↑/↓ move  i info  r result  t traceback  c revoke  l rate limit  h help  q quit';
const keysOfText = 'j/k or ↑/↓ scroll  any other key: back to the list';
/** Lines around the list: title, columns; rule, selected, workers, totals, keys. */
const linesAroundList = 7;
const linesAroundText = 3;

/** What a key needs to know of the screen. */
export function roomFor(state: ClusterState, view: View, frame: Frame): Room {
  const height = bodyHeight(frame.rows, view);
  const lines = view.page === undefined ? [] : bodyOf(state, view.page, frame).lines;
  return { height, mostScroll: Math.max(0, lines.length - height) };
}

/** Lines that a list or a page of text has room for. */
function bodyHeight(rows: number, view: View): number {
  return Math.max(1, rows - (view.page === undefined ? linesAroundList : linesAroundText));
}

/** Exactly `rows` lines, none wider than `columns`. */
export function draw(state: ClusterState, view: View, frame: Frame): string[] {
  const lines = view.page === undefined ? drawList(state, view, frame) : drawText(state, view, view.page, frame);
  const whole = [...lines, ...Array<string>(Math.max(0, frame.rows - lines.length)).fill('')];
  return whole.slice(0, frame.rows);
}

function drawList(state: ClusterState, view: View, frame: Frame): string[] {
  const { columns, style } = frame;
  const height = bodyHeight(frame.rows, view);
  const tasks = listed(state);
  const at = selectedIndex(tasks, view);
  const first = Math.max(0, at - height + 1);
  const widths = columnWidths(columns);
  const rows = tasks.slice(first, first + height).map((task, row) => {
    const line = fitted(taskLine(task, widths, frame), columns);
    return first + row === at ? style.reverse(line) : colored(task, line, style);
  });
  if (tasks.length === 0)
    rows.push(fitted('  No task has been heard of yet. Workers send task events with -E.', columns));
  return [
    style.bold(fitted(frame.title, columns)),
    style.bold(
      fitted(
        ['UUID', 'TASK', 'WORKER', 'TIME', 'STATE'].map((name, i) => fitted(name, widths[i] ?? 0)).join(' '),
        columns,
      ),
    ),
    ...rows,
    ...Array<string>(Math.max(0, height - rows.length)).fill(''),
    style.dim('─'.repeat(columns)),
    fitted(`Selected: ${selectedLine(tasks[at])}`, columns),
    fitted(`Workers online: ${workersLine(state)}`, columns),
    fitted(
      `Events: ${state.eventCount}  Tasks: ${state.tasks.size}  Workers: ${state.aliveWorkers().length}/${state.workers.size}`,
      columns,
    ),
    bottomLine(view, columns, style),
  ];
}

/** UUID, task, worker, time, state: the task's name gets what is left. */
function columnWidths(columns: number): readonly number[] {
  const [time, states] = [8, 9];
  const left = Math.max(20, columns - time - states - 4);
  const uuid = Math.min(36, Math.floor(left * 0.38));
  const worker = Math.min(28, Math.floor(left * 0.24));
  return [uuid, left - uuid - worker, worker, time, states];
}

function taskLine(task: TaskState, widths: readonly number[], frame: Frame): string {
  const cells = [
    task.uuid,
    task.name ?? '?',
    task.worker?.hostname ?? task.client ?? '',
    task.timestamp === undefined ? '' : clockText(task.timestamp, frame),
    task.state,
  ];
  return cells.map((cell, column) => fitted(printableLine(cell), widths[column] ?? 0)).join(' ');
}

function colored(task: TaskState, line: string, style: Style): string {
  if (task.state === 'SUCCESS') return style.dim(line);
  if (task.state === 'FAILURE' || task.state === 'REJECTED') return style.bad(line);
  return task.state === 'STARTED' ? style.good(line) : line;
}

function selectedLine(task: TaskState | undefined): string {
  if (task === undefined) return 'nothing';
  const { args, eta, exception, kwargs, result, retries, runtime } = task.fields;
  const facts = {
    args,
    kwargs,
    retries,
    eta,
    runtime: runtime === undefined ? undefined : `${runtime.toFixed(2)}s`,
    result,
    exception,
  };
  const shown = Object.entries(facts).filter(([, value]) => value !== undefined && value !== null);
  return printableLine(shown.map(([name, value]) => `${name}=${value}`).join(' ')) || task.state;
}

function workersLine(state: ClusterState): string {
  const alive = state.aliveWorkers().map(({ hostname }) => printableLine(hostname));
  return alive.length === 0 ? 'none' : alive.sort().join(', ');
}

function bottomLine({ notice, prompt }: View, columns: number, style: Style): string {
  if (prompt !== undefined) return style.bold(fitted(promptText(prompt), columns));
  return notice === undefined
    ? style.dim(fitted(keysOfList, columns))
    : style.bold(fitted(printableLine(notice), columns));
}

function promptText({ kind, taskName, text, uuid }: Prompt): string {
  if (kind === 'revoke') {
    return `Revoke ${printableLine(taskName || uuid)} on all workers? y yes  t also end it where it runs  n no`;
  }
  return `Rate limit of ${printableLine(taskName)} (10/s, 10/m, 10/h; 0: none), then Enter: ${text}_`;
}

function drawText(state: ClusterState, view: View, page: TextPage, frame: Frame): string[] {
  const { columns, style } = frame;
  const height = bodyHeight(frame.rows, view);
  const { lines, title } = bodyOf(state, page, frame);
  const scroll = Math.min(page.scroll, Math.max(0, lines.length - height));
  const body = lines.slice(scroll, scroll + height);
  return [
    style.bold(fitted(printableLine(title), columns)),
    ...body,
    ...Array<string>(height - body.length).fill(''),
    style.dim('─'.repeat(columns)),
    style.dim(fitted(keysOfText, columns)),
  ];
}

/** The lines of a page as they fit into the columns. */
function bodyOf(state: ClusterState, page: TextPage, frame: Frame): ReturnType<typeof textOf> {
  const { lines, title } = textOf(state, page, frame);
  return { title, lines: lines.flatMap((line) => wrap(printable(line), frame.columns)) };
}

function textOf(
  state: ClusterState,
  page: TextPage,
  frame: Frame,
): { readonly title: string; readonly lines: readonly string[] } {
  const task = page.uuid === undefined ? undefined : state.tasks.get(page.uuid);
  switch (page.subject) {
    case 'help':
      return { title: 'Keys', lines: help };
    case 'answers':
      return { title: page.title ?? '', lines: page.lines ?? [] };
    case 'task':
      return { title: `Task ${page.uuid}`, lines: task === undefined ? [forgotten] : taskLines(state, task, frame) };
    case 'result': {
      const { exception, result } = task?.fields ?? {};
      return {
        title: `Result of ${page.uuid}`,
        lines: [task === undefined ? forgotten : (result ?? exception ?? `None yet: the task is ${task.state}.`)],
      };
    }
    case 'traceback':
      return {
        title: `Traceback of ${page.uuid}`,
        lines: [task === undefined ? forgotten : (task.fields.traceback ?? `None: the task is ${task.state}.`)],
      };
  }
}

const forgotten = 'This task is not known any more: newer ones took its place.';

const help = [
  'j ↓   next task              k ↑   the one before',
  'g     first                  PgDn PgUp   a screen further, back',
  'i ⏎   all that is known of the selected task',
  'r     its result             t     its traceback',
  'c     revoke it              l     rate limit of its kind of task',
  'q     quit',
  '',
  'Tasks are known from their events: start workers with -E, or `celery-ts control enable_events`.',
];

function taskLines(state: ClusterState, task: TaskState, frame: Frame): string[] {
  const { client, extra, fields, times } = task;
  const facts: [string, unknown][] = [
    ['task', task.name],
    ['state', task.state],
    ['worker', task.worker?.hostname],
    ['client', client],
    ...Object.entries(fields).filter(([name]) => name !== 'name' && name !== 'traceback'),
    ...Object.entries(times).map(([event, at]): [string, unknown] => [event, clockText(at, frame)]),
    ...Object.entries(extra).map(([name, value]): [string, unknown] => [name, JSON.stringify(value)]),
    [
      'children',
      state
        .childrenOf(task.uuid)
        .map(({ name, uuid }) => `${uuid} ${name ?? ''}`.trim())
        .join(', '),
    ],
    ['traceback', fields.traceback],
  ];
  return facts
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${printableLine(name).padEnd(12)} ${String(value)}`);
}

/** `12:34:56`. */
function clockText(at: number, { utcOffsetMinutes }: Frame): string {
  const shifted = new Date(at + utcOffsetMinutes * 60_000);
  return Number.isNaN(shifted.getTime()) ? '' : shifted.toISOString().slice(11, 19);
}

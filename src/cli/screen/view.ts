/**
 * What somebody in front of the monitor looks at, and what a key does to it. Pure: `press` gives the next view and, for
 * keys that are to change something in the cluster, what to do.
 */
import type { ClusterState, TaskState } from '../../events/index.ts';

/** A page of text about something; `scroll` lines of it are above the screen. */
export interface TextPage {
  readonly kind: 'text';
  readonly subject: 'task' | 'result' | 'traceback' | 'help' | 'answers';
  /** The task it is about. */
  readonly uuid?: string | undefined;
  readonly title?: string | undefined;
  readonly lines?: readonly string[] | undefined;
  readonly scroll: number;
}

/** A question at the bottom of the list. */
export interface Prompt {
  readonly kind: 'revoke' | 'rate limit';
  readonly uuid: string;
  readonly taskName: string;
  /** What is typed so far. */
  readonly text: string;
}

export interface View {
  /** The id of the selected task; undefined: the first. */
  readonly selected: string | undefined;
  /** Undefined: the list of tasks. */
  readonly page: TextPage | undefined;
  readonly prompt: Prompt | undefined;
  /** One line about the last thing done. */
  readonly notice: string | undefined;
}

export type Action =
  | { readonly kind: 'quit' }
  | { readonly kind: 'revoke'; readonly uuid: string; readonly terminate: boolean }
  | { readonly kind: 'rate limit'; readonly taskName: string; readonly rate: string };

/** A key as `readline` names it. */
export interface Key {
  readonly name?: string | undefined;
  readonly sequence?: string | undefined;
  readonly ctrl?: boolean | undefined;
}

export interface Pressed {
  readonly view: View;
  readonly action?: Action;
}

export const firstView: View = { selected: undefined, page: undefined, prompt: undefined, notice: undefined };

/** Tasks on the list: a terminal shows no more, and sorting is paid at every redraw. */
const mostListed = 1_000;

export function listed(state: ClusterState): TaskState[] {
  return state.tasksByTime({ limit: mostListed });
}

/** Where the selection is on the list; a task that was forgotten gives its place to the first. */
export function selectedIndex(tasks: readonly TaskState[], view: View): number {
  return Math.max(
    0,
    tasks.findIndex(({ uuid }) => uuid === view.selected),
  );
}

/** How much there is room for, and how far a page of text can be scrolled. */
export interface Room {
  readonly height: number;
  readonly mostScroll: number;
}

export function press(view: View, key: Key, state: ClusterState, room: Room): Pressed {
  if (key.ctrl === true && key.name === 'c') return { view, action: { kind: 'quit' } };
  if (view.prompt !== undefined) return answer(view, view.prompt, key);
  if (view.page !== undefined) return turnPage(view, view.page, key, room);
  return onList({ ...view, notice: undefined }, key, state, room.height);
}

function onList(view: View, key: Key, state: ClusterState, height: number): Pressed {
  const tasks = listed(state);
  const at = selectedIndex(tasks, view);
  const move = (to: number): Pressed => ({
    view: { ...view, selected: tasks[Math.max(0, Math.min(tasks.length - 1, to))]?.uuid },
  });
  const task = tasks[at];
  switch (nameOf(key)) {
    case 'q':
    case 'escape':
      return { view, action: { kind: 'quit' } };
    case 'j':
    case 'down':
      return move(at + 1);
    case 'k':
    case 'up':
      return move(at - 1);
    case 'pagedown':
    case 'space':
      return move(at + height);
    case 'pageup':
      return move(at - height);
    case 'home':
    case 'g':
      return move(0);
    case 'end':
      return move(tasks.length - 1);
    case 'i':
    case 'return':
      return about(view, task, 'task');
    case 'r':
      return about(view, task, 'result');
    case 't':
      return about(view, task, 'traceback');
    case 'c':
      return ask(view, task, 'revoke');
    case 'l':
      return ask(view, task, 'rate limit');
    case '?':
    case 'h':
      return { view: { ...view, page: { kind: 'text', subject: 'help', scroll: 0 } } };
    default:
      return { view };
  }
}

function about(view: View, task: TaskState | undefined, subject: 'task' | 'result' | 'traceback'): Pressed {
  if (task === undefined) return nothingSelected(view);
  return { view: { ...view, selected: task.uuid, page: { kind: 'text', subject, uuid: task.uuid, scroll: 0 } } };
}

function ask(view: View, task: TaskState | undefined, kind: Prompt['kind']): Pressed {
  if (task === undefined) return nothingSelected(view);
  if (kind === 'rate limit' && task.name === undefined) {
    return { view: { ...view, notice: 'The name of this task is not known: its first event was missed.' } };
  }
  const prompt = { kind, uuid: task.uuid, taskName: task.name ?? '', text: '' };
  return { view: { ...view, selected: task.uuid, prompt } };
}

function nothingSelected(view: View): Pressed {
  return { view: { ...view, notice: 'There is no task yet.' } };
}

function turnPage(view: View, page: TextPage, key: Key, { height, mostScroll }: Room): Pressed {
  const scrollTo = (scroll: number): Pressed => ({
    view: { ...view, page: { ...page, scroll: Math.max(0, Math.min(scroll, mostScroll)) } },
  });
  switch (nameOf(key)) {
    case 'j':
    case 'down':
      return scrollTo(page.scroll + 1);
    case 'k':
    case 'up':
      return scrollTo(page.scroll - 1);
    case 'pagedown':
    case 'space':
      return scrollTo(page.scroll + height);
    case 'pageup':
      return scrollTo(page.scroll - height);
    case 'home':
    case 'g':
      return scrollTo(0);
    case 'end':
      return scrollTo(mostScroll);
    default:
      return { view: { ...view, page: undefined } };
  }
}

/** Keys while a question is open: letters answer it, Escape drops it. */
function answer(view: View, prompt: Prompt, key: Key): Pressed {
  const closed = { ...view, prompt: undefined };
  const name = nameOf(key);
  if (name === 'escape') return { view: closed };
  if (prompt.kind === 'revoke') {
    if (name !== 'y' && name !== 't') return { view: { ...closed, notice: 'Not revoked.' } };
    return { view: closed, action: { kind: 'revoke', uuid: prompt.uuid, terminate: name === 't' } };
  }
  if (name === 'return' || name === 'enter') {
    if (prompt.text === '') return { view: { ...closed, notice: 'The rate limit stays as it is.' } };
    return { view: closed, action: { kind: 'rate limit', taskName: prompt.taskName, rate: prompt.text } };
  }
  if (name === 'backspace') return { view: { ...view, prompt: { ...prompt, text: prompt.text.slice(0, -1) } } };
  const typed = key.sequence ?? '';
  if (!/^[\d./smh]$/.test(typed) || prompt.text.length >= 20) return { view };
  return { view: { ...view, prompt: { ...prompt, text: prompt.text + typed } } };
}

/** Capital letters do what small ones do, as in Celery's monitor. */
function nameOf(key: Key): string {
  return key.name ?? key.sequence ?? '';
}

/** The monitor's screen: what is drawn of a cluster, and what keys do. */
import { describe, expect, it } from 'vitest';
import { cellsOf, fitted, wrap } from '../../../src/cli/screen/cells.ts';
import { draw, type Frame, roomFor } from '../../../src/cli/screen/draw.ts';
import { type Action, firstView, type Key, press, type View } from '../../../src/cli/screen/view.ts';
import { colorStyle, plainStyle } from '../../../src/cli/style.ts';
import { ClusterState } from '../../../src/events/index.ts';
import { manualSystem } from '../../support/manual-system.ts';

const noon = Date.UTC(2026, 0, 31, 12);
const frame: Frame = { columns: 100, rows: 16, title: 'celery-ts events', utcOffsetMinutes: 60, style: plainStyle };

interface Told {
  readonly state: ClusterState;
  tell(type: string, more?: Record<string, unknown>): void;
}

/** A cluster of one worker that has heard of these tasks, `t1` the oldest. */
function aCluster(tasks = 3): Told {
  const system = manualSystem({ now: noon });
  const state = new ClusterState({ system });
  const clock = { value: 0 };
  const tell = (type: string, more: Record<string, unknown> = {}): void => {
    clock.value += 1;
    state.event({ type, hostname: 'w1@host', timestamp: noon, localReceived: noon, clock: clock.value, ...more });
  };
  tell('worker-online', { freq: 2 });
  for (let n = 1; n <= tasks; n += 1) {
    tell('task-received', { uuid: `t${n}`, name: 'tasks.add', args: `(${n},)`, kwargs: '{}', retries: 0 });
  }
  return { state, tell };
}

/** Presses keys one after the other. */
function type(
  state: ClusterState,
  keys: readonly (string | Key)[],
  view: View = firstView,
): { view: View; actions: Action[] } {
  const actions: Action[] = [];
  let now = view;
  for (const key of keys) {
    const pressed = press(
      now,
      typeof key === 'string' ? { name: key, sequence: key } : key,
      state,
      roomFor(state, now, frame),
    );
    now = pressed.view;
    if (pressed.action !== undefined) actions.push(pressed.action);
  }
  return { view: now, actions };
}

describe('the list of tasks', () => {
  it('shows the latest first, with worker, time and state', () => {
    const { state, tell } = aCluster(2);
    tell('task-succeeded', { uuid: 't1', result: "'three'", runtime: 0.25 });
    const lines = draw(state, firstView, frame);
    expect(lines[0]?.trim()).toBe('celery-ts events');
    expect(lines[1]).toMatch(/^UUID +TASK +WORKER +TIME +STATE/);
    expect(lines[2]).toMatch(/^t1 +tasks.add +w1@host +13:00:00 SUCCESS/);
    expect(lines[3]).toMatch(/^t2 +tasks.add +w1@host +13:00:00 RECEIVED/);
    const text = lines.join('\n');
    expect(text).toContain("Selected: args=(1,) kwargs={} retries=0 runtime=0.25s result='three'");
    expect(text).toContain('Workers online: w1@host');
    expect(text).toContain('Events: 4  Tasks: 2  Workers: 1/1');
  });

  it('fills the screen exactly, whatever its size and whatever hosts say', () => {
    const { state, tell } = aCluster(50);
    tell('task-failed', { uuid: 'böse\u001b[2J漢字', exception: `\u0007${'漢'.repeat(500)}`, traceback: 'a\nb\u009b' });
    for (const [columns, rows] of [
      [100, 16],
      [20, 5],
      [37, 60],
      [200, 8],
      [2, 1],
    ] as const) {
      for (const keys of [[], ['i'], ['r'], ['t'], ['h'], ['c'], ['l']]) {
        const lines = draw(state, type(state, keys).view, { ...frame, columns, rows });
        expect(lines).toHaveLength(rows);
        for (const line of lines) {
          expect(cellsOf(line)).toBeLessThanOrEqual(columns);
          expect(line).not.toMatch(/\p{Cc}/u);
        }
      }
    }
  });

  it('says what to do when no task was heard of', () => {
    const state = new ClusterState({ system: manualSystem() });
    expect(draw(state, firstView, frame).join('\n')).toContain('Workers send task events with -E.');
    for (const key of ['i', 'r', 't', 'c', 'l', 'j', 'k', 'end']) {
      const { actions, view } = type(state, [key]);
      expect(actions).toEqual([]);
      expect(view.page).toBeUndefined();
    }
  });

  it('keeps the selected task in sight and selected while others arrive', () => {
    const { state, tell } = aCluster(40);
    const { view } = type(state, ['down', 'j', 'j', 'k']);
    expect(view.selected).toBe('t38');
    tell('task-received', { uuid: 'new', name: 'tasks.add' });
    const lines = draw(state, view, { ...frame, style: { ...plainStyle, reverse: (text) => `>${text}` } });
    expect(lines.find((line) => line.startsWith('>'))).toMatch(/^>t38 /);
    const last = type(state, ['end'], view).view;
    expect(last.selected).toBe('t1');
    const below = draw(state, last, { ...frame, style: { ...plainStyle, reverse: (text) => `>${text}` } });
    expect(below.find((line) => line.startsWith('>'))).toMatch(/^>t1 /);
    expect(type(state, ['g'], last).view.selected).toBe('new');
    expect(type(state, ['pageup'], last).view.selected).toBe('t10');
  });

  it('gives the place of a forgotten task to the first', () => {
    const { state } = aCluster(2);
    const { view } = type(state, ['end']);
    state.clearTasks({ ready: false });
    expect(draw(state, view, frame).join('\n')).toContain('Selected: nothing');
  });

  it('draws in colours only where they are wanted', () => {
    const { state, tell } = aCluster(2);
    tell('task-failed', { uuid: 't1' });
    expect(draw(state, firstView, { ...frame, style: colorStyle }).join('')).toContain('\u001b[');
  });
});

describe('a key', () => {
  it('opens all that is known of a task, its result, its traceback, and another goes back', () => {
    const { state, tell } = aCluster(1);
    tell('task-started', { uuid: 't1', pid: 7 });
    tell('task-failed', { uuid: 't1', exception: "ValueError('no')", traceback: 'Traceback:\n  line 1' });
    tell('task-received', { uuid: 'kid', name: 'tasks.kid', parentId: 't1' });
    const page = (key: string): string => draw(state, type(state, ['j', key]).view, { ...frame, rows: 30 }).join('\n');
    expect(page('i')).toMatch(/Task t1[\s\S]*state +FAILURE[\s\S]*worker +w1@host[\s\S]*children +kid tasks.kid/);
    expect(page('return')).toContain('Task t1');
    expect(page('r')).toMatch(/Result of t1[\s\S]*ValueError\('no'\)/);
    expect(page('t')).toMatch(/Traceback of t1[\s\S]*Traceback:\n {2}line 1/);
    expect(draw(state, type(state, ['r']).view, frame).join('\n')).toContain('None yet: the task is RECEIVED.');
    for (const back of ['q', 'escape', 'i', 'x']) expect(type(state, ['i', back]).view.page).toBeUndefined();
    const { view } = type(state, ['i']);
    state.clearTasks({ ready: false });
    expect(draw(state, view, frame).join('\n')).toContain('This task is not known any more');
  });

  it('scrolls a long text, and not past its end', () => {
    const { state, tell } = aCluster(1);
    tell('task-failed', { uuid: 't1', traceback: Array.from({ length: 50 }, (_, n) => `line ${n}`).join('\n') });
    const down = type(state, ['t', ...Array<string>(200).fill('down')]);
    expect(draw(state, down.view, frame).join('\n')).toContain('line 49');
    expect(draw(state, type(state, ['up'], down.view).view, frame).join('\n')).not.toContain('line 49');
    expect(
      draw(state, type(state, ['end', 'pageup', 'home', 'pagedown', 'space'], down.view).view, frame)[1],
    ).toContain('line 26');
  });

  it('revokes the selected task after a yes, and ends it too after t', () => {
    const { state } = aCluster(2);
    const asked = type(state, ['j', 'c']);
    expect(asked.actions).toEqual([]);
    expect(draw(state, asked.view, frame).join('\n')).toContain('Revoke tasks.add on all workers?');
    expect(type(state, ['y'], asked.view).actions).toEqual([{ kind: 'revoke', uuid: 't1', terminate: false }]);
    expect(type(state, ['t'], asked.view).actions).toEqual([{ kind: 'revoke', uuid: 't1', terminate: true }]);
    for (const no of ['n', 'escape', 'return', 'c', 'q']) {
      expect(type(state, [no], asked.view)).toMatchObject({ actions: [], view: { prompt: undefined } });
    }
  });

  it('sets a rate limit that is typed', () => {
    const { state } = aCluster(1);
    const typed = type(state, [
      'l',
      '1',
      '0',
      '5',
      'backspace',
      '/',
      'x',
      'm',
      '\u001b',
      ...Array<string>(3).fill('down'),
    ]);
    expect(draw(state, typed.view, frame).join('\n')).toContain(
      'Rate limit of tasks.add (10/s, 10/m, 10/h; 0: none), then Enter: 10/m_',
    );
    const { actions, view } = type(state, ['return'], typed.view);
    expect(actions).toEqual([{ kind: 'rate limit', taskName: 'tasks.add', rate: '10/m' }]);
    expect(view.prompt).toBeUndefined();
    expect(type(state, ['l', 'return']).actions).toEqual([]);
    expect(type(state, ['l', '1', 'escape']).view.prompt).toBeUndefined();
  });

  it('limits no task whose name nobody has heard', () => {
    const { state, tell } = aCluster(0);
    tell('task-started', { uuid: 'a' });
    const { view } = type(state, ['l']);
    expect(view.prompt).toBeUndefined();
    expect(draw(state, view, frame).at(-1)).toContain('The name of this task is not known');
    expect(type(state, ['j'], view).view.notice).toBeUndefined();
  });

  it('ends the monitor: q on the list, Control-C anywhere', () => {
    const { state } = aCluster(1);
    const controlC = { name: 'c', ctrl: true };
    expect(type(state, ['q']).actions).toEqual([{ kind: 'quit' }]);
    expect(type(state, ['i', controlC]).actions).toEqual([{ kind: 'quit' }]);
    expect(type(state, ['l', '1', controlC]).actions).toEqual([{ kind: 'quit' }]);
    expect(type(state, ['x', '7', { sequence: '' }]).actions).toEqual([]);
  });
});

describe('text in cells', () => {
  it.each([
    ['abc', 5, 'abc  '],
    ['abcdef', 4, 'abc…'],
    ['漢字漢字', 5, '漢字…'],
    ['漢字漢字', 4, '漢… '],
    ['e\u0301x', 3, 'e\u0301x '],
    ['', 2, '  '],
    ['abc', 0, ''],
  ])('%j in %d cells is %j', (text, cells, expected) => {
    expect(fitted(text, cells)).toBe(expected);
    expect(cellsOf(fitted(text, cells))).toBe(cells);
  });

  it('is broken into lines where they are full', () => {
    expect(wrap('abcdef\n\nx', 3)).toEqual(['abc', 'def', '', 'x']);
    expect(wrap('漢字漢', 5)).toEqual(['漢字', '漢']);
  });
});

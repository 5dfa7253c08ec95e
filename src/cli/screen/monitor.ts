/**
 * The live monitor: events go into the state, keys into the view, and both onto the screen, at most ten times a second.
 */
import type { Celery } from '../../app/index.ts';
import type { ClusterState } from '../../events/index.ts';
import { answerLines, headline } from '../answers.ts';
import type { Style } from '../style.ts';
import { plainStyle } from '../style.ts';
import { draw, type Frame, roomFor } from './draw.ts';
import { Painter, type Terminal } from './terminal.ts';
import { type Action, firstView, press, type View } from './view.ts';

export interface MonitorOptions {
  readonly app: Celery;
  readonly state: ClusterState;
  readonly terminal: Terminal;
  readonly title: string;
  readonly style: Style;
  /** Seconds to wait for workers that were told something. */
  readonly timeout: number;
  /** Somebody pressed q. */
  readonly onQuit: () => void;
}

const redrawMs = 100;
/** Without events the list of live workers still changes. */
const idleRedrawMs = 1000;

export class Monitor {
  readonly #given: MonitorOptions;
  readonly #painter: Painter;
  #view: View = firstView;
  #cancel: (() => void) | undefined;
  #isSoon = false;

  /** Takes the terminal over. */
  constructor(given: MonitorOptions) {
    this.#given = given;
    this.#painter = new Painter(given.terminal, {
      key: (key) => {
        const { state } = given;
        const { action, view } = press(this.#view, key, state, roomFor(state, this.#view, this.#frame()));
        this.#view = view;
        if (action !== undefined) this.#do(action);
        this.#draw();
      },
      resize: () => this.#draw(),
    });
    this.#draw();
  }

  /** Something happened in the cluster. */
  changed(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#arm(redrawMs);
  }

  /** One line at the bottom, until the next key. */
  notice(text: string): void {
    this.#view = { ...this.#view, notice: text };
    this.changed();
  }

  close(): void {
    this.#cancel?.();
    this.#painter.close();
  }

  #arm(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.#given.app.system.after(ms, () => this.#draw());
  }

  #draw(): void {
    this.#isSoon = false;
    if (!this.#painter.isBehind) this.#painter.paint(draw(this.#given.state, this.#view, this.#frame()));
    this.#arm(idleRedrawMs);
  }

  #frame(): Frame {
    const { app, style, title } = this.#given;
    const utcOffsetMinutes = -new Date(app.system.now()).getTimezoneOffset();
    return { ...this.#painter.size, title, style, utcOffsetMinutes };
  }

  #do(action: Action): void {
    if (action.kind === 'quit') return this.#given.onQuit();
    const { control } = this.#given.app;
    const options = { reply: true, timeout: this.#given.timeout };
    if (action.kind === 'revoke') {
      const { terminate, uuid } = action;
      void this.#show(`Revoke ${uuid}`, control.revoke(uuid, { ...options, terminate }));
    } else {
      void this.#show(
        `Rate limit of ${action.taskName}: ${action.rate}`,
        control.rateLimit(action.taskName, action.rate, options),
      );
    }
  }

  /** What the workers answered becomes a page. */
  async #show(title: string, asking: ReturnType<Celery['control']['revoke']>): Promise<void> {
    this.notice(`${title} …`);
    try {
      const replies = (await asking).flatMap((reply) => Object.entries(reply));
      const lines = replies.flatMap(([node, value]) => [
        headline(node, value, plainStyle, false),
        ...answerLines(value),
      ]);
      this.#view = {
        ...this.#view,
        notice: undefined,
        page: {
          kind: 'text',
          subject: 'answers',
          title,
          lines: lines.length === 0 ? ['No worker answered.'] : lines,
          scroll: 0,
        },
      };
      this.changed();
    } catch (error) {
      this.notice(error instanceof Error ? error.message : String(error));
    }
  }
}

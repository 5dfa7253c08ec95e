/**
 * A terminal taken over and given back: its other screen, keys one by one, lines drawn in place. What has not changed is
 * not written again, so that a slow line (ssh) does not flicker.
 */
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';
import type { Key } from './view.ts';

export interface Terminal {
  readonly input: ReadStream;
  readonly output: WriteStream;
}

const enter = '\u001b[?1049h\u001b[?25l\u001b[?7l\u001b[2J';
// Emptied first: tmux 3.3 shows what is left on it when the window has another size by now.
const leave = '\u001b[2J\u001b[H\u001b[?7h\u001b[?25h\u001b[?1049l';

export class Painter {
  readonly #terminal: Terminal;
  readonly #onKey: (text: string | undefined, key: Key | undefined) => void;
  readonly #onResize: () => void;
  #painted: readonly string[] = [];
  #isOpen = true;

  /** Takes the terminal over. `onResize` is called when it has another size and must be drawn anew. */
  constructor(terminal: Terminal, on: { readonly key: (key: Key) => void; readonly resize: () => void }) {
    this.#terminal = terminal;
    const { input, output } = terminal;
    this.#onKey = (text, key) => on.key(key ?? { sequence: text });
    this.#onResize = () => {
      this.#painted = [];
      output.write('\u001b[2J');
      on.resize();
    };
    output.write(enter);
    emitKeypressEvents(input);
    input.setRawMode(true);
    input.resume();
    input.on('keypress', this.#onKey);
    output.on('resize', this.#onResize);
  }

  get size(): { readonly columns: number; readonly rows: number } {
    const { columns, rows } = this.#terminal.output;
    return { columns: columns || 80, rows: rows || 24 };
  }

  /** Bytes that the terminal has not taken yet: a redraw now would only add to them. */
  get isBehind(): boolean {
    return this.#terminal.output.writableNeedDrain;
  }

  paint(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const changed = lines.map((line, row) =>
      line === this.#painted[row] ? '' : `\u001b[${row + 1};1H${line}\u001b[0m\u001b[K`,
    );
    this.#painted = lines;
    const text = changed.join('');
    if (text !== '') this.#terminal.output.write(text);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { input, output } = this.#terminal;
    input.off('keypress', this.#onKey);
    output.off('resize', this.#onResize);
    input.setRawMode(false);
    input.pause();
    output.write(leave);
  }
}

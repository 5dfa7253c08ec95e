/**
 * Start downwards, stop upwards: whoever opens a thing gives it to a `CloseStack`.
 * Closing runs in reverse order, and one failing close does not keep the rest open.
 * (`AsyncDisposableStack` is newer than Node 20.)
 */
export interface Closable {
  close(): Promise<void> | void;
}

export class CloseStack implements AsyncDisposable {
  readonly #closers: (() => Promise<void> | void)[] = [];
  #closing: Promise<void> | undefined;
  #late: Promise<void> | undefined;

  /** Keeps `thing` until the stack closes, and returns it. */
  adopt<T extends Closable>(thing: T): T {
    this.defer(() => thing.close());
    return thing;
  }

  /** Runs `close` when the stack closes. */
  defer(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  /**
   * Closes everything, newest first. A second call waits for the first. Errors are gathered and thrown at the end.
   * Once `deadline` has settled, what is left is begun and not waited for.
   */
  close(deadline?: Promise<void>): Promise<void> {
    this.#late ??= deadline;
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = [];
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        const closed = Promise.resolve(close());
        closed.catch(() => undefined); // heard below, unless it is too late for that
        await (this.#late === undefined ? closed : Promise.race([closed, this.#late]));
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} things failed to close.`);
  }
}

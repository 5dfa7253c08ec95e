/**
 * The end of one run, asked for from outside. Its signal is made when somebody asks for it: most bodies never do, and one
 * costs more than the rest of a small run.
 */
export class Abort {
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  /** Why the run is to end; undefined: it is not. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The first reason stays. */
  abort(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

/**
 * What an app was told by name and loads when it is first used: modules with settings, tasks of packages. Loads run in
 * the order they were asked for; one that asks for more is followed by it.
 */
export class DeferredLoads {
  readonly #loads: (() => Promise<void>)[] = [];
  readonly #before: () => Promise<void>;
  readonly #afterwards: () => Promise<void>;
  #hasBegun = false;
  #done: Promise<void> | undefined;
  #isReading = false;

  /** `before` runs once, before the first load; `afterwards` whenever all loads are done. */
  constructor(given: { readonly before: () => Promise<void>; readonly afterwards: () => Promise<void> }) {
    this.#before = given.before;
    this.#afterwards = given.afterwards;
  }

  add(load: () => Promise<void>): void {
    this.#loads.push(load);
    this.#done = undefined;
  }

  /** Resolves when everything is loaded. */
  get done(): Promise<void> {
    this.#done ??= this.#run();
    return this.#done;
  }

  /** What a sender has to wait for: undefined once all sources are read, also while `afterwards` still runs (it may send). */
  get pending(): Promise<void> | undefined {
    return this.#loads.length > 0 || this.#isReading ? this.done : undefined;
  }

  async #run(): Promise<void> {
    this.#isReading = true;
    try {
      if (!this.#hasBegun) {
        this.#hasBegun = true;
        await this.#before();
      }
      for (let load = this.#loads.shift(); load !== undefined; load = this.#loads.shift()) await load();
    } finally {
      this.#isReading = false;
    }
    await this.#afterwards();
  }
}

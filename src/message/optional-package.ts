/** Packages that an app needs only when it uses what they do: imported in `prepare`, missed with the command that brings them. */
import { ImproperlyConfigured } from '../core/errors.ts';

/** A package was needed before it was loaded; `prepare` loads it, and what failed may be tried again. */
export class NotPrepared extends ImproperlyConfigured {
  readonly prepare: () => Promise<void>;

  constructor(message: string, prepare: () => Promise<void>) {
    super(message);
    this.prepare = prepare;
  }
}

export class OptionalPackage<T> {
  readonly #name: string;
  readonly #purpose: string;
  readonly #load: () => Promise<T>;
  #loaded: T | undefined;

  /** `purpose` begins a sentence: "The serializer 'yaml'". */
  constructor(name: string, purpose: string, load: () => Promise<T>) {
    this.#name = name;
    this.#purpose = purpose;
    this.#load = load;
  }

  /** @throws {ImproperlyConfigured} when the package is not installed, or does not run here. */
  async prepare(): Promise<void> {
    if (this.#loaded !== undefined) return;
    try {
      this.#loaded = await this.#load();
    } catch (error) {
      throw new ImproperlyConfigured(
        `${this.#purpose} needs the package '${this.#name}', which could not be loaded: npm install ${this.#name}`,
        { cause: error },
      );
    }
  }

  /** @throws {NotPrepared} before `prepare`. */
  get(): T {
    if (this.#loaded === undefined) {
      throw new NotPrepared(
        `${this.#purpose} needs the package '${this.#name}', which is not loaded: npm install ${this.#name}, and name it in the settings (or await codec.prepare) before it is used.`,
        () => this.prepare(),
      );
    }
    return this.#loaded;
  }
}

/** Does `work`; when a package was missed, loads it and does it again. @throws {ImproperlyConfigured} (or rejects) when it is not installed. */
export function prepared<T>(work: () => T): T | Promise<T> {
  try {
    return work();
  } catch (error) {
    const missed = error instanceof Error && error.cause instanceof NotPrepared ? error.cause : error;
    if (!(missed instanceof NotPrepared)) throw error;
    return missed.prepare().then(work);
  }
}

/** Packages that an app needs only when it uses what they do: imported in `prepare`, missed with the command that brings them. */
import { ImproperlyConfigured } from '../core/errors.ts';

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

  /** @throws {ImproperlyConfigured} before `prepare`. */
  get(): T {
    if (this.#loaded === undefined) {
      throw new ImproperlyConfigured(
        `${this.#purpose} needs the package '${this.#name}', which is not loaded: npm install ${this.#name}, and name it in the settings (or await codec.prepare) before it is used.`,
      );
    }
    return this.#loaded;
  }
}

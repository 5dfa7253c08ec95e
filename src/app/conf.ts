/**
 * `app.conf`: the settings of one app, read in camelCase, changed by assignment or `update`.
 * Sources in order, later over earlier: the constructor, config objects, changes, the environment, command-line flags.
 */
import {
  type CeleryConfig,
  type Config,
  type ConfigInput,
  type ConfigSource,
  type Environment,
  environmentSource,
  parseSource,
  type ResolvedConfig,
  resolveConfig,
  type SettingName,
  settingNames,
} from './settings.ts';

/** What users see as `app.conf`. Every setting can be read and assigned. */
export type Conf = { -readonly [K in SettingName]: Config[K] } & {
  /** Changes several settings at once, all or none. @throws {ImproperlyConfigured} */
  update(changes: CeleryConfig): void;
};

/** The sources behind `app.conf`, and the strict configuration that comes of them. */
export class Settings {
  readonly #base: ConfigSource[];
  readonly #changes: ConfigSource[] = [];
  readonly #env: ConfigSource;
  #flags: ConfigSource | undefined;
  /** Modules of the command line, `-I`. */
  #included: readonly string[] = [];
  #resolved: ResolvedConfig | undefined;
  /** What users see. */
  readonly conf: Conf;

  /** @throws {ImproperlyConfigured} when what is given cannot be used. */
  constructor(given: ConfigInput, env: Environment) {
    this.#base = [{ settings: given }];
    this.#env = environmentSource(env);
    this.conf = this.#view();
    this.resolve();
  }

  /** The strict configuration; one object until something changes. */
  get config(): Config {
    return this.resolve().config;
  }

  resolve(): ResolvedConfig {
    this.#resolved ??= this.#withIncluded(resolveConfig(this.#sources()));
    return this.#resolved;
  }

  /** A config object or module, over the constructor's settings. @throws {ImproperlyConfigured} and changes nothing. */
  addObject(source: ConfigSource): void {
    this.#try(this.#base, source);
  }

  /** A change by the program. @throws {ImproperlyConfigured} and changes nothing. */
  change(settings: ConfigInput): void {
    this.#try(this.#changes, { settings });
  }

  /** Command-line flags: over everything; `include` adds to what is included. @throws {ImproperlyConfigured} */
  setFlags({ include, ...settings }: Readonly<Record<string, unknown>>): void {
    const from = 'the command line';
    this.#included = parseSource({ settings: { include }, from, origin: 'text' }).include ?? [];
    this.#flags = { settings, from, origin: 'text' };
    this.#resolved = undefined;
    this.resolve();
  }

  #try(list: ConfigSource[], source: ConfigSource): void {
    const before = this.#resolved;
    list.push(source);
    this.#resolved = undefined;
    try {
      this.resolve();
    } catch (error) {
      list.pop();
      this.#resolved = before;
      throw error;
    }
  }

  #withIncluded(resolved: ResolvedConfig): ResolvedConfig {
    if (this.#included.length === 0) return resolved;
    const { config } = resolved;
    return { ...resolved, config: Object.freeze({ ...config, include: [...config.include, ...this.#included] }) };
  }

  #sources(): ConfigSource[] {
    const flags = this.#flags === undefined ? [] : [this.#flags];
    return [...this.#base, ...this.#changes, this.#env, ...flags];
  }

  #view(): Conf {
    const view = { update: (changes: CeleryConfig) => this.change(changes) };
    Object.defineProperty(view, 'update', { enumerable: false });
    for (const name of settingNames) {
      Object.defineProperty(view, name, {
        enumerable: true,
        get: () => this.config[name],
        set: (value: unknown) => this.change({ [name]: value }),
      });
    }
    return Object.preventExtensions(view) as Conf;
  }
}

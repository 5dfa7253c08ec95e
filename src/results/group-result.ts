/** The handle on a group: a result set with an id, which can be saved and found again. */
import { ImproperlyConfigured } from '../core/errors.ts';
import type { AnyResult, ResultHost, ResultTuple } from './any-result.ts';
import { ResultSet } from './result-set.ts';

/**
 * The results of a group, in the order of its tasks. Celery: `GroupResult`.
 *
 * @example
 * const result = await group([add.s(1, 1), add.s(2, 2)]).delay();
 * await result.get({ timeout: 10 }); // [2, 4]
 */
export class GroupResult<T = unknown> extends ResultSet<T> implements AnyResult {
  readonly id: string;
  /** The step before the group in a chain, if any. */
  readonly parent: AnyResult | undefined;
  readonly #host: ResultHost;

  constructor(
    id: string,
    members: Iterable<AnyResult>,
    host: ResultHost,
    given: { parent?: AnyResult | undefined } = {},
  ) {
    super(members, host);
    this.id = id;
    this.parent = given.parent;
    this.#host = host;
  }

  /** The members. */
  get children(): readonly AnyResult[] {
    return this.results;
  }

  /** Stores the ids of the group, to be found by `GroupResult.restore`. @throws {ImproperlyConfigured} on `rpc://` */
  async save(): Promise<void> {
    const backend = await this.#host.backend();
    await backend.saveGroup(this.id, this.asTuple());
  }

  /** Drops what `save` stored; the results stay. */
  async delete(): Promise<void> {
    const backend = await this.#host.backend();
    await backend.deleteGroup(this.id);
  }

  /** The group saved under `id`, or `undefined`. */
  static async restore(id: string, host: ResultHost): Promise<GroupResult | undefined> {
    const backend = await host.backend();
    const tuple = await backend.restoreGroup(id);
    if (tuple === undefined) return undefined;
    const group = host.resultFromTuple(tuple);
    if (group instanceof GroupResult) return group;
    throw new ImproperlyConfigured(`What is saved under ${id} is not a group but the task ${group.id}.`);
  }

  /** `[[id, parent], [members…]]`. */
  asTuple(): ResultTuple {
    const parent = this.parent === undefined ? null : this.parent.asTuple();
    return [[this.id, parent], this.results.map((member) => member.asTuple())];
  }

  asList(): string[] {
    return [this.id, ...(this.parent?.asList() ?? [])];
  }

  /** The same id, the same members and the same parent. */
  equals(other: unknown): boolean {
    return other instanceof GroupResult && JSON.stringify(other.asTuple()) === JSON.stringify(this.asTuple());
  }

  override toString(): string {
    return this.id;
  }

  toJSON(): ResultTuple {
    return this.asTuple();
  }
}

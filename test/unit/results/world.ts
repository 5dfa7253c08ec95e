/**
 * What tests of handles stand on: a backend that pushes whatever the test lets it hear, and a host around it.
 */
import type { AnyResult, ResultHost, ResultMeta, RevokeOptions } from '../../../src/results/index.ts';
import { pendingMeta, type ResultBackend, resultFromTuple } from '../../../src/results/index.ts';
import { KnownStates } from '../../../src/results/known-states.ts';
import { type ManualSystem, manualSystem } from '../../support/manual-system.ts';

export interface World {
  readonly system: ManualSystem;
  readonly host: ResultHost;
  readonly known: KnownStates;
  readonly backend: ResultBackend;
  readonly revocations: { ids: readonly string[]; options: RevokeOptions }[];
  readonly groups: Map<string, unknown>;
  insideTask: boolean;
  /** Watches open at this moment. */
  watching: number;
  /** The backend hears of a state. */
  hear(taskId: string, state: string, more?: Partial<ResultMeta>): void;
}

export function aWorld(): World {
  const system = manualSystem();
  const known = new KnownStates({ system });
  const groups = new Map<string, unknown>();
  const backend: ResultBackend = {
    name: 'test',
    form: 'document',
    replyTo: '',
    supportsNativeJoin: true,
    store: async () => {},
    expect: async () => {},
    hold: (id, holder) => known.hold(id, holder),
    get: async (id) => known.last(id) ?? pendingMeta(id),
    watch: (id, listener, options) => {
      world.watching += 1;
      const stop = known.listen(id, listener, options?.onFailed);
      let isStopped = false;
      return () => {
        if (!isStopped) world.watching -= 1;
        isStopped = true;
        stop();
      };
    },
    forget: async (id) => known.forget(id),
    saveGroup: async (id, tuple) => {
      groups.set(id, JSON.parse(JSON.stringify(tuple)));
    },
    restoreGroup: async (id) => groups.get(id),
    deleteGroup: async (id) => {
      groups.delete(id);
    },
    close: async () => {},
  };
  const host: ResultHost = {
    system,
    backend: async () => backend,
    openedBackend: () => backend,
    isInsideTask: () => world.insideTask,
    resultFromTuple: (tuple): AnyResult => resultFromTuple(tuple, host),
    revoke: async (ids, options) => {
      world.revocations.push({ ids, options });
    },
    revokeByStampedHeaders: async () => undefined,
  };
  const world: World = {
    system,
    host,
    known,
    backend,
    groups,
    revocations: [],
    insideTask: false,
    watching: 0,
    hear: (taskId, state, more = {}) => known.learn({ ...pendingMeta(taskId), state, ...more }),
  };
  return world;
}

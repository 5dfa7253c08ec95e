/**
 * What follows a run, as calls: callbacks and the next link of the chain after success, error callbacks after failure
 * (celery-protocol.md sections 5.5 and 8). Pure: names the calls, sends nothing.
 */
import { decodeOptions, mergeOptions } from '../canvas/index.ts';
import { InvalidTaskError } from '../core/errors.ts';
import type { CallOptions } from '../task/index.ts';

/** A call that has its arguments and options, and only needs to be encoded and routed. */
export interface Call {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly options: CallOptions & { readonly taskId: string };
}

/** Calls to publish, and the result tuples by which the parent remembers them. */
export interface FollowUps {
  readonly calls: readonly Call[];
  readonly children: readonly unknown[];
}

/** What a follow-up inherits from the run it follows. */
export interface Ancestry {
  readonly parentId: string;
  readonly rootId: string;
  readonly priority?: number | undefined;
  newId(): string;
}

type WireMap = Readonly<Record<string, unknown>>;

/** A callback or chain link as found in a message. @throws {InvalidTaskError} when it is not a signature. */
export function readSignature(value: unknown): WireMap & { task: string } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && 'task' in value) {
    const map = value as WireMap;
    if (typeof map.task === 'string') return map as WireMap & { task: string };
  }
  throw new InvalidTaskError(`A callback or chain link should be a signature map with a 'task', not ${typeof value}.`);
}

/** Callbacks, then the next link of the chain, each given `value` in front of its arguments. */
export function afterSuccess(
  embed: { readonly callbacks: readonly unknown[]; readonly chain: readonly unknown[] },
  value: unknown,
  ancestry: Ancestry,
): FollowUps {
  const calls: Call[] = [];
  const children: unknown[] = [];
  const add = (signature: unknown, extra: WireMap): void => {
    const next = expand(readSignature(signature), [value], extra, ancestry);
    calls.push(...next.calls);
    children.push(...next.children);
  };
  if (embed.callbacks.length > 1) {
    // Celery wraps several callbacks in a group, so that they share a group id and are one child.
    const group_id = ancestry.newId();
    const members = embed.callbacks.map((callback) => expand(readSignature(callback), [value], { group_id }, ancestry));
    for (const member of members) calls.push(...member.calls);
    children.push([[group_id, null], members.flatMap((member) => member.children)]);
  } else if (embed.callbacks.length === 1) add(embed.callbacks[0], {});
  if (embed.chain.length > 0) add(embed.chain.at(-1), { chain: embed.chain.slice(0, -1) });
  return { calls, children };
}

/** Error callbacks as messages: each gets the id of the failed task in front of its arguments. */
export function afterFailure(errbacks: readonly unknown[], failedId: string, ancestry: Ancestry): FollowUps {
  const each = errbacks.map((errback) => expand(readSignature(errback), [failedId], {}, ancestry));
  return { calls: each.flatMap((next) => next.calls), children: [] };
}

/** A signature, `args` in front of its own, as the calls it stands for: a chain is its first link, a group its members. */
export function expand(
  map: WireMap & { task: string },
  args: readonly unknown[],
  extra: WireMap,
  ancestry: Ancestry,
): FollowUps {
  const stored = isMap(map.options) ? map.options : {};
  const options = mergeOptions(stored, extra);
  switch (map.subtask_type) {
    case 'chain':
      return expandChain(members(map), args, options, ancestry);
    case 'group':
      return expandGroup(members(map), args, options, ancestry);
    case 'chord':
      throw new InvalidTaskError('A chord as a callback or chain link cannot be run by this worker.');
    default: {
      const isImmutable = map.immutable === true;
      const own = Array.isArray(map.args) ? map.args : [];
      const id = typeof options.task_id === 'string' ? options.task_id : ancestry.newId();
      const call: Call = {
        task: map.task,
        args: isImmutable ? own : [...args, ...own],
        options: {
          ...(ancestry.priority === undefined ? {} : { priority: ancestry.priority }),
          ...decodeOptions(options),
          kwargs: isMap(map.kwargs) ? map.kwargs : {},
          taskId: id,
          parentId: ancestry.parentId,
          rootId: ancestry.rootId,
        },
      };
      return { calls: [call], children: [[[id, null], null]] };
    }
  }
}

/** The first link, carrying the others (last first) and whatever came after the whole chain. */
function expandChain(
  tasks: readonly unknown[],
  args: readonly unknown[],
  options: WireMap,
  ancestry: Ancestry,
): FollowUps {
  const [first, ...rest] = tasks;
  if (first === undefined) return { calls: [], children: [] };
  const after = Array.isArray(options.chain) ? options.chain : [];
  const { task_id, link, link_error, chain: _chain, ...passed } = options;
  const last = rest.at(-1);
  const reversed = [...rest].reverse();
  // The id and callbacks of the chain are those of its last link.
  const ofLast = dropAbsent({ task_id, link, link_error });
  if (last === undefined) return expand(readSignature(first), args, { ...passed, ...ofLast, chain: after }, ancestry);
  const lastMap = readSignature(last);
  const frozen = { ...lastMap, options: mergeOptions(isMap(lastMap.options) ? lastMap.options : {}, ofLast) };
  return expand(readSignature(first), args, { ...passed, chain: [...after, frozen, ...reversed.slice(1)] }, ancestry);
}

/** Every member, sharing one group id. */
function expandGroup(
  tasks: readonly unknown[],
  args: readonly unknown[],
  options: WireMap,
  ancestry: Ancestry,
): FollowUps {
  const { task_id, ...passed } = options;
  const group_id = typeof task_id === 'string' ? task_id : ancestry.newId();
  const each = tasks.map((task, group_index) =>
    expand(readSignature(task), args, { ...passed, group_id, group_index }, ancestry),
  );
  return {
    calls: each.flatMap((member) => member.calls),
    children: [[[group_id, null], each.flatMap((member) => member.children)]],
  };
}

function members(map: WireMap): readonly unknown[] {
  const kwargs = map.kwargs;
  const tasks = isMap(kwargs) ? kwargs.tasks : undefined;
  if (!Array.isArray(tasks))
    throw new InvalidTaskError(`A ${String(map.subtask_type)} signature should have kwargs.tasks.`);
  return tasks;
}

function isMap(value: unknown): value is WireMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function dropAbsent(map: WireMap): WireMap {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined && value !== null));
}

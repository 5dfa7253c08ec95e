/** Where answers live: what other rooms may use. */
export { AbortableAsyncResult, aborted } from './abortable-result.ts';
export type { AnyResult, GetOptions, ResultHost, ResultTuple, RevokeOptions } from './any-result.ts';
export { AsyncResult } from './async-result.ts';
export type { ReplyAddress, ResultBackend, ResultMeta, WatchOptions } from './backend.ts';
export { pendingMeta } from './backend.ts';
export type { BackendContext, BackendSettings, OpenBackend } from './backends/context.ts';
export { openBackend, schemeOf } from './backends/index.ts';
export { type EagerOutcome, EagerResult } from './eager-result.ts';
export { BackendError, BackendGetMetaError, BackendStoreError, BlockingJoinError, IncompleteStream } from './errors.ts';
export { GroupResult } from './group-result.ts';
export { allowJoinResult, assertWillNotBlock, deniedJoinResult } from './join-guard.ts';
export type { ResultGraph } from './result-graph.ts';
export { ResultSet } from './result-set.ts';
export { resultFromTuple } from './result-tuple.ts';
export type { WatchStatesOptions } from './watch-states.ts';

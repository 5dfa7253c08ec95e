/**
 * `cache+memory://`: results kept in this process and seen by nobody else. For tests and scripts in which the app and its
 * worker live together. Results go through bytes all the same, so what cannot travel fails here, too.
 */
import { decodeResult, type EncodedResult } from '../../message/index.ts';
import { pendingMeta, type ResultBackend, type ResultMeta, type WatchOptions } from '../backend.ts';
import { backendClosed } from '../errors.ts';
import { KnownStates } from '../known-states.ts';
import { type BackendContext, looseBound } from './context.ts';

export async function openMemoryBackend(context: BackendContext): Promise<ResultBackend> {
  return new MemoryBackend(context);
}

/** Celery's limit for its own in-memory cache. */
const mostKept = 5_000;

class MemoryBackend implements ResultBackend {
  readonly name = 'memory';
  readonly form = 'document';
  readonly replyTo = '';
  readonly supportsNativeJoin = true;
  readonly #context: BackendContext;
  readonly #known: KnownStates;
  readonly #groups = new Map<string, string>();
  #isClosed = false;

  constructor(context: BackendContext) {
    const { resultExpires } = context.settings;
    this.#context = context;
    this.#known = new KnownStates({
      system: context.system,
      maxLoose: mostKept,
      ...looseBound(context.settings),
      ...(resultExpires === undefined || resultExpires <= 0 ? {} : { maxLooseAgeMs: resultExpires * 1000 }),
    });
  }

  async store(result: EncodedResult): Promise<void> {
    const { codec, accept, errors } = this.#context;
    const { taskId, body, contentType, contentEncoding } = result;
    try {
      this.#known.learn({ ...decodeResult(body, contentType, contentEncoding, codec, { accept, errors }), taskId });
    } catch (error) {
      this.#known.learn({ ...pendingMeta(taskId), state: 'FAILURE', result: error });
    }
  }

  expect(): undefined {
    return undefined;
  }

  hold(taskId: string, holder: object): void {
    this.#known.hold(taskId, holder);
  }

  async get(taskId: string): Promise<ResultMeta> {
    return this.#known.last(taskId) ?? pendingMeta(taskId);
  }

  watch(taskId: string, listener: (meta: ResultMeta) => void, options: WatchOptions = {}): () => void {
    if (this.#isClosed) throw backendClosed();
    return this.#known.listen(taskId, listener, options.onFailed);
  }

  async forget(taskId: string): Promise<void> {
    this.#known.forget(taskId);
  }

  async saveGroup(groupId: string, tuple: unknown): Promise<void> {
    this.#groups.set(groupId, JSON.stringify(tuple));
  }

  async restoreGroup(groupId: string): Promise<unknown> {
    const saved = this.#groups.get(groupId);
    return saved === undefined ? undefined : JSON.parse(saved);
  }

  async deleteGroup(groupId: string): Promise<void> {
    this.#groups.delete(groupId);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#known.fail(backendClosed());
    this.#known.clear();
    this.#groups.clear();
  }
}

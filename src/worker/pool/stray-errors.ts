/**
 * Errors that escape a body: thrown by a timer it left behind, rejected in a promise nobody awaits. Whoever runs bodies
 * takes those that are its own; others end the process, as Node would have done.
 */
export type StrayKind = 'uncaught exception' | 'unhandled rejection';

export interface StrayOwner {
  /** Whether the error that is being reported right now comes from a body of this owner's. */
  owns(): boolean;
  take(error: unknown, kind: StrayKind): void;
}

const poolOwner = Symbol.for('celery-ts.pool.stray');

interface Listener {
  (error: unknown): void;
  [poolOwner]?: StrayOwner;
}

/** Listens until the returned function is called. */
export function watchStrayErrors(owner: StrayOwner): () => void {
  const kinds = [
    ['uncaughtException', 'uncaught exception'],
    ['unhandledRejection', 'unhandled rejection'],
  ] as const;
  const undo = kinds.map(([event, kind]) => {
    const listener: Listener = (error) => {
      if (owner.owns()) return owner.take(error, kind);
      const listeners = process.listeners(event as 'uncaughtException') as readonly unknown[] as readonly Listener[];
      // Another pool of this process will take it, or a listener of the program's own decides.
      const isForeign = listeners.every((one) => one[poolOwner]?.owns() === false);
      if (isForeign && listeners[0] === listener) crash(error);
    };
    listener[poolOwner] = owner;
    process.on(event, listener);
    return () => process.off(event, listener);
  });
  return () => {
    for (const one of undo) one();
  };
}

/** What Node does without a listener: the stack on stderr, exit code 1. */
function crash(error: unknown): void {
  process.removeAllListeners('uncaughtException');
  setImmediate(() => {
    throw error;
  });
}

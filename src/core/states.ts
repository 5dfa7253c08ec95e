/**
 * The states of a task (celery-protocol.md section 10), and how they rank. Results and events both speak of them.
 * Any other upper-case name is a state of the user's own; it is never final.
 */

/** A task in one of these has ended. */
export const readyStates: ReadonlySet<string> = new Set(['SUCCESS', 'FAILURE', 'REVOKED']);

/** A task in one of these is still to end. */
export const unreadyStates: ReadonlySet<string> = new Set(['PENDING', 'RECEIVED', 'STARTED', 'REJECTED', 'RETRY']);

/** The stored result is an exception map. */
export const exceptionStates: ReadonlySet<string> = new Set(['FAILURE', 'RETRY', 'REVOKED']);

/** `get()` throws the stored exception. */
export const propagateStates: ReadonlySet<string> = new Set(['FAILURE', 'REVOKED']);

// Highest first; `undefined` is where every state of the user's own stands.
const order: readonly (string | undefined)[] = [
  'SUCCESS',
  'FAILURE',
  undefined,
  'REVOKED',
  'STARTED',
  'RECEIVED',
  'REJECTED',
  'RETRY',
  'PENDING',
];
const ranks: ReadonlyMap<string | undefined, number> = new Map(order.map((state, rank) => [state, rank]));
const customRank = order.indexOf(undefined);

/** The rank of a state, 0 the highest: what arrives out of order is merged by it. Celery's `states.precedence`. */
export function precedence(state: string): number {
  return ranks.get(state) ?? customRank;
}

/** Whether what was stored may be replaced: a SUCCESS stays, and what has ended does not go back to being under way. */
export function mayFollow(known: string | undefined, next: string): boolean {
  if (known === undefined) return true;
  if (known === 'SUCCESS') return false;
  return !readyStates.has(known) || readyStates.has(next);
}

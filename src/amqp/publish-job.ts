/**
 * One publish on its way: who waits for it, what has happened to it, and the words for how it may end.
 */
import type { Publication } from '../core/envelope.ts';
import { PublishError, PublishNackedError, UnroutableError } from '../core/errors.ts';
import { explainChannelError } from './broker-errors.ts';
import type { WithDeadline } from './deadline-list.ts';

/** What the broker says of a message that no queue took. */
export interface Returned {
  readonly code: number;
  readonly text: string;
}

export class Job implements WithDeadline {
  readonly publication: Publication;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  state: 'waiting' | 'sent' | 'settled' = 'waiting';
  timesLost = 0;
  isRepeat = false;
  hasRedeclared = false;
  returned: Returned | undefined = undefined;
  deadline = 0;
  earlier: WithDeadline | undefined = undefined;
  later: WithDeadline | undefined = undefined;

  constructor(publication: Publication, resolve: () => void, reject: (error: Error) => void) {
    this.publication = publication;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** Where it goes, in words. */
export function addressOf({ publication: { exchange, routingKey } }: Job): string {
  return exchange === '' ? `queue '${routingKey}'` : `exchange '${exchange}' with key '${routingKey}'`;
}

export function returnedOf(fields: object): Returned {
  const code = 'replyCode' in fields ? Number(fields.replyCode) : 0;
  return { code, text: 'replyText' in fields ? String(fields.replyText) : '' };
}

export function nacked(job: Job): PublishNackedError {
  return new PublishNackedError(
    `The broker refused a message to ${addressOf(job)}: is its queue full (reject-publish)?`,
  );
}

export function unroutable(job: Job, { code, text }: Returned): UnroutableError {
  return new UnroutableError(
    `No queue took a message to ${addressOf(job)} (${code} ${text}). Declare the queue and its binding, or start a worker that does.`,
  );
}

export function lostTooOften(job: Job, cause: unknown): PublishError {
  return new PublishError(
    `The connection was lost before the broker confirmed a message to ${addressOf(job)}; it was sent ${job.timesLost} times and may be there or not.`,
    { cause },
  );
}

export function missingExchange(exchange: string, cause: Error): UnroutableError {
  return new UnroutableError(
    `There is no exchange '${exchange}' on the broker. Declare it (a queue of taskQueues bound to it does), or route elsewhere.`,
    { cause },
  );
}

/** A refusal that only this message can have caused. */
export function refusal(job: Job, cause: Error): PublishError {
  const explained = explainChannelError(cause, `A message to ${addressOf(job)}`);
  return new PublishError(explained.message, { cause });
}

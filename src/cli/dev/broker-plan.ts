/**
 * Which broker `celery-ts dev` works with. Programs in the same folder reach the app's own broker URL without being
 * told anything, so that is where tasks have to go: to whoever answers there, else to the embedded broker on that very
 * address. Pure.
 */
import { type BrokerUrl, maskedUrl } from '../../amqp/index.ts';
import { exitCodes } from '../exit-codes.ts';

/** What came back from one of the app's broker addresses. */
export type Answer =
  | { readonly kind: 'open'; readonly product: string; readonly version: string }
  /** Connection refused: nobody listens. */
  | { readonly kind: 'nobody' }
  /** There is a broker, and it does not let us in. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Unknown host, no answer in time, or something that speaks no AMQP. */
  | { readonly kind: 'failed'; readonly message: string };

/** One of the app's broker addresses, and what came back. `url.tls`: by its scheme or by a setting. */
export interface Asked {
  readonly url: BrokerUrl;
  readonly answer: Answer;
}

export type BrokerPlan =
  | { readonly kind: 'use'; readonly url: BrokerUrl; readonly product: string }
  | { readonly kind: 'embed'; readonly url: BrokerUrl }
  | { readonly kind: 'give up'; readonly message: string; readonly exitCode: number };

/** The first that answers; else the first on this machine where nobody listens; else what to do. */
export function planBroker(asked: readonly Asked[]): BrokerPlan {
  for (const { url, answer } of asked) {
    if (answer.kind === 'open') return { kind: 'use', url, product: `${answer.product} ${answer.version}`.trim() };
  }
  const free = asked.find(({ url, answer }) => answer.kind === 'nobody' && isThisMachine(url.hostname) && !url.tls);
  if (free !== undefined) return { kind: 'embed', url: free.url };
  return giveUp(asked);
}

function giveUp(asked: readonly Asked[]): BrokerPlan {
  const refused = asked.find(({ answer }) => answer.kind === 'refused');
  const { url, answer } = refused ?? asked[0] ?? {};
  if (url === undefined || answer === undefined || answer.kind === 'open') {
    return { kind: 'give up', message: 'The app has no broker URL.', exitCode: exitCodes.configuration };
  }
  const where = maskedUrl(url);
  if (answer.kind === 'refused') return { kind: 'give up', message: answer.message, exitCode: exitCodes.refused };
  const why = answer.kind === 'failed' ? ` ${answer.message}` : '';
  const own = isThisMachine(url.hostname)
    ? url.tls
      ? 'The broker of celery-ts dev has no TLS.'
      : 'The broker of celery-ts dev cannot listen there.'
    : 'The broker of celery-ts dev takes the place of brokers on this machine only.';
  const cure = `Start that one, or do without it: set CELERY_BROKER_URL=${withoutIt}, here and where you call from.`;
  return {
    kind: 'give up',
    message: `The app's broker ${where} does not answer.${why} ${own} ${cure}`,
    exitCode: exitCodes.unavailable,
  };
}

const withoutIt = 'amqp://localhost//';

/** True for addresses that only this machine reaches. */
export function isThisMachine(hostname: string): boolean {
  const name = hostname.toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(\.\d+){3}$/.test(name);
}

/** The address to listen on for what is reached as `hostname`. */
export function listenAddress(hostname: string): string {
  return /^(127(\.\d+){3}|::1)$/.test(hostname) ? hostname : '127.0.0.1';
}

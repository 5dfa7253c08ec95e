/**
 * The addresses of one connection and whose turn it is: as given, shuffled, or as a function of the user's picks them.
 * It turns when one fails; where it stands is tried next.
 */
import { ImproperlyConfigured } from '../core/errors.ts';
import type { System } from '../core/system.ts';
import { type BrokerUrl, parseBrokerUrls } from './url.ts';

/** Picks addresses for ever, from those given, by their text. Celery: `broker_failover_strategy`. */
export type Failover = 'round-robin' | 'shuffle' | ((urls: readonly string[]) => Iterator<string>);

export class BrokerList {
  readonly #urls: readonly BrokerUrl[];
  readonly #texts: readonly string[];
  readonly #picks: Iterator<string> | undefined;
  #at = 0;

  /** @throws {ImproperlyConfigured} when an address cannot be read, or the first that the function picks was not given. */
  constructor(given: string | readonly string[], failover: Failover, system: Pick<System, 'random'>) {
    const texts = [given].flat().flatMap((text) => text.split(';').map((part) => part.trim()));
    const named = texts.filter((text) => text !== '');
    this.#texts = failover === 'shuffle' ? shuffled(named, system) : named;
    this.#urls = parseBrokerUrls(this.#texts);
    this.#picks = typeof failover === 'function' ? failover([...this.#texts]) : undefined;
    const first = this.#picks?.next();
    if (first === undefined || first.done === true) return;
    this.#at = this.#texts.indexOf(first.value);
    if (this.#at === -1) {
      throw new ImproperlyConfigured('brokerFailoverStrategy picked an address that is not among those it was given.');
    }
  }

  get all(): readonly BrokerUrl[] {
    return this.#urls;
  }

  /** The one to try next. */
  get next(): BrokerUrl {
    const url = this.#urls[this.#at];
    if (url === undefined) throw new ImproperlyConfigured('There is no broker URL.');
    return url;
  }

  /** Begins there, unless a function of the user's says where. */
  beginAt(index: number | undefined): void {
    if (index !== undefined && this.#picks === undefined) this.#at = index;
  }

  turn(): void {
    this.#at = this.#picked() ?? (this.#at + 1) % this.#urls.length;
  }

  /** A function that ends, throws or picks something else leaves it to the order: some broker has to be tried. */
  #picked(): number | undefined {
    try {
      const pick = this.#picks?.next();
      const at = pick === undefined || pick.done === true ? -1 : this.#texts.indexOf(pick.value);
      return at === -1 ? undefined : at;
    } catch {
      return undefined;
    }
  }
}

function shuffled<T>(list: readonly T[], system: Pick<System, 'random'>): readonly T[] {
  return list
    .map((item) => ({ item, key: system.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

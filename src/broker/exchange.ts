/**
 * Exchanges and their bindings, and the way of a message through them to queues: exchange-to-exchange bindings, CC and
 * BCC keys, alternate exchanges. Names and rights are the vhost's business.
 */
import { createMatcher, type ExchangeType, type Keyed, type Matcher } from './matching.ts';
import type { Message } from './message.ts';
import type { Queue } from './queue.ts';
import { emptyTable, type Table, textOf } from './wire/field-table.ts';

export type Destination = Queue | Exchange;

export interface Binding extends Keyed {
  readonly source: Exchange;
  readonly destination: Destination;
}

export interface ExchangeSpec {
  readonly name: string;
  readonly type: ExchangeType;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly isInternal: boolean;
  readonly arguments: Table;
}

export class Exchange {
  readonly kind = 'exchange';
  readonly spec: ExchangeSpec;
  readonly name: string;
  readonly alternate: string | undefined;
  /** Bindings that lead here, from other exchanges. */
  readonly incoming = new Set<Binding>();
  readonly #bindings = new Set<Binding>();
  readonly #matcher: Matcher<Binding>;

  constructor(spec: ExchangeSpec) {
    this.spec = spec;
    this.name = spec.name;
    this.alternate = textOf(spec.arguments.get('alternate-exchange'));
    this.#matcher = createMatcher(spec.type);
  }

  get bindings(): ReadonlySet<Binding> {
    return this.#bindings;
  }

  add(binding: Binding): void {
    this.#bindings.add(binding);
    this.#matcher.add(binding);
    binding.destination.incoming.add(binding);
  }

  remove(binding: Binding): void {
    this.#bindings.delete(binding);
    this.#matcher.remove(binding);
    binding.destination.incoming.delete(binding);
  }

  match(routingKey: string, headers: () => Table, found: Binding[]): void {
    this.#matcher.match(routingKey, headers, found);
  }
}

/** What routing asks of the vhost. */
export interface Directory {
  exchange(name: string): Exchange | undefined;
  queue(name: string): Queue | undefined;
}

/** The queues that take a message sent to `exchange` under `routingKeys`, each once. */
export function route(
  directory: Directory,
  exchange: Exchange,
  routingKeys: readonly string[],
  message: Message,
): Iterable<Queue> {
  const queues = new Set<Queue>();
  const seen = new Set<Exchange>();
  const waiting: Exchange[] = [exchange];
  let table: Table | undefined;
  const headers = (): Table => {
    table ??= message.properties().headers ?? emptyTable;
    return table;
  };
  for (let source = waiting.pop(); source !== undefined; source = waiting.pop()) {
    if (seen.has(source)) continue;
    seen.add(source);
    let isTaken = false;
    const found: Binding[] = [];
    for (const key of routingKeys) {
      if (source.name === '') {
        const queue = directory.queue(key);
        if (queue !== undefined) queues.add(queue);
        isTaken ||= queue !== undefined;
      } else source.match(key, headers, found);
    }
    for (const { destination } of found) {
      isTaken = true;
      if (destination.kind === 'queue') queues.add(destination);
      else waiting.push(destination);
    }
    const alternate = isTaken || source.alternate === undefined ? undefined : directory.exchange(source.alternate);
    if (alternate !== undefined) waiting.push(alternate);
  }
  return queues;
}

/** Which of several brokers answered last: the connections of one program begin with it, so that only the first waits for one that is mute. */
import { type BrokerUrl, hostAndPort } from './url.ts';

export class BrokerMemory {
  #answered: string | undefined;

  answered(url: BrokerUrl): void {
    this.#answered = keyOf(url);
  }

  failed(url: BrokerUrl): void {
    if (this.#answered === keyOf(url)) this.#answered = undefined;
  }

  /** Where to begin in this list; undefined: nobody knows. */
  indexIn(urls: readonly BrokerUrl[]): number | undefined {
    const index = urls.findIndex((url) => keyOf(url) === this.#answered);
    return index === -1 ? undefined : index;
  }
}

function keyOf(url: BrokerUrl): string {
  return `${hostAndPort(url)}/${url.vhost}`;
}

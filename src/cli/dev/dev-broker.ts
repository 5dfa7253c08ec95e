/** The broker of `celery-ts dev`: the one that answers at the app's address, or one that stands in for it. */
import { type BrokerUrl, maskedUrl, parseBrokerUrls } from '../../amqp/index.ts';
import { type Broker, startBroker } from '../../broker/index.ts';
import type { System } from '../../core/system.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { type Asked, isThisMachine, listenAddress, planBroker } from './broker-plan.ts';

export interface DevBrokerOptions {
  /** Listen there, whatever the app's URL is. */
  readonly port?: number | undefined;
  readonly dataDir?: string | undefined;
  readonly system: System;
}

export class DevBroker {
  readonly #options: DevBrokerOptions;
  #serves = '';
  #embedded: Broker | undefined;
  #sentence = '';

  constructor(options: DevBrokerOptions) {
    this.#options = options;
  }

  /** Starts on the port that was asked for; gives the URL that the worker is to use. @throws {CommandError} 73 */
  async startOn(port: number): Promise<string> {
    const url = parseBrokerUrls('amqp://guest:guest@127.0.0.1//')[0];
    if (url !== undefined) await this.#embed({ ...url, port });
    return this.#embedded?.url ?? '';
  }

  /** Sees to a broker at one of these addresses. @throws {CommandError} 69, 73, 77 with what to do. */
  async serve(asked: readonly Asked[]): Promise<void> {
    const key = JSON.stringify(asked.map(({ url }) => url));
    if (key === this.#serves) return;
    await this.close();
    const plan = planBroker(asked);
    switch (plan.kind) {
      case 'give up':
        throw new CommandError(plan.message, plan.exitCode);
      case 'use': {
        const far = isThisMachine(plan.url.hostname) ? '' : ', on another machine';
        this.#sentence = `${maskedUrl(plan.url)}  (${plan.product} answers there${far})`;
        break;
      }
      case 'embed':
        await this.#embed(plan.url);
    }
    this.#serves = key;
  }

  /** One line for people. */
  get sentence(): string {
    return this.#sentence;
  }

  /** Ours, and nobody is connected. */
  get isIdle(): boolean {
    return this.#embedded?.stats().connections === 0;
  }

  /** Messages that end with it, by queue. */
  get waiting(): readonly { readonly name: string; readonly ready: number }[] {
    const isKept = this.#options.dataDir !== undefined;
    const queues = isKept ? [] : (this.#embedded?.stats().queues ?? []);
    return queues.filter(({ ready, name }) => ready > 0 && !inner.test(name));
  }

  async close(): Promise<void> {
    this.#serves = '';
    await this.#embedded?.close();
    this.#embedded = undefined;
  }

  async #embed(url: BrokerUrl): Promise<void> {
    const { dataDir, system } = this.#options;
    const host = listenAddress(url.hostname);
    try {
      this.#embedded = await startBroker({
        host,
        port: url.port,
        users: { [url.username]: url.password },
        vhosts: [url.vhost],
        system,
        ...(dataDir === undefined ? {} : { dataDir }),
      });
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error;
      throw new CommandError(
        `The broker of celery-ts dev cannot listen on port ${url.port} of ${host}: ${error.message}.`,
        exitCodes.cannotCreate,
      );
    }
    const keeps = dataDir === undefined ? 'in memory' : `kept in ${dataDir}`;
    this.#sentence = `${maskedUrl({ ...url, port: this.#embedded.port })}  (embedded, ${keeps})`;
  }
}

/** Queues of replies, events and control. */
const inner = /pidbox|^celeryev|^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/;

/**
 * What RabbitMQ still takes or took until lately, and its newest version refuses: warned about once a broker, refused in
 * strict mode with RabbitMQ's own answer, a 541 that closes the connection. Python Celery 5.6 uses both features.
 */
import type { Logger } from '../core/system.ts';
import { AmqpError } from './errors.ts';

const features = {
  transient_nonexcl_queues: 'A queue that is neither durable nor exclusive; RabbitMQ 4.3 refuses it.',
  global_qos: 'A prefetch limit shared by a whole channel (global qos); RabbitMQ 4.3 refuses it.',
} as const satisfies Readonly<Record<string, string>>;

export type DeprecatedFeature = keyof typeof features;

export class Deprecations {
  readonly #isStrict: boolean;
  readonly #log: Logger;
  readonly #uses = new Map<DeprecatedFeature, number>();

  constructor(options: { readonly isStrict: boolean; readonly log: Logger }) {
    this.#isStrict = options.isStrict;
    this.#log = options.log;
  }

  /** How often each feature was asked for. */
  get uses(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#uses);
  }

  /** A client asks for the feature. @throws {AmqpError} in strict mode */
  use(feature: DeprecatedFeature, fields: Readonly<Record<string, unknown>>): void {
    const before = this.#uses.get(feature) ?? 0;
    this.#uses.set(feature, before + 1);
    if (this.#isStrict) {
      const text = `Feature \`${feature}\` is deprecated.\nBy default, this feature is not permitted anymore.`;
      throw new AmqpError('INTERNAL_ERROR', text);
    }
    if (before === 0) this.#log.warn({ feature, ...fields }, features[feature]);
  }
}

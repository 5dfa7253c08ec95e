/**
 * What the rooms of level 1 share: `message/` makes an `Envelope`, `amqp/` carries it.
 * Header names and values are as on the wire (snake_case, null for absent); properties are camelCase.
 */

/** AMQP basic properties. */
export interface MessageProperties {
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly deliveryMode?: number | undefined;
  readonly priority?: number | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  /** Decimal text of milliseconds. */
  readonly expiration?: string | undefined;
  readonly messageId?: string | undefined;
  /** Seconds since the epoch. */
  readonly timestamp?: number | undefined;
  readonly type?: string | undefined;
  readonly userId?: string | undefined;
  readonly appId?: string | undefined;
}

/** An encoded message: what stands between the application and the broker. */
export interface Envelope {
  readonly properties: MessageProperties;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Uint8Array;
}

/** How often and how fast a message is sent again after a loss. Celery's `task_publish_retry_policy`, in seconds. */
export interface PublishRetryPolicy {
  /** Times it is sent again; null: as often as the publish timeout allows. Default 3. */
  readonly maxRetries?: number | null | undefined;
  /** Before the first repeat. Default 0. */
  readonly intervalStart?: number | undefined;
  /** Added for each further one. Default 0.2. */
  readonly intervalStep?: number | undefined;
  /** Default 1. */
  readonly intervalMax?: number | undefined;
}

/** An envelope with its address and the guarantees asked for. */
export interface Publication {
  readonly envelope: Envelope;
  /** Empty: the default exchange. */
  readonly exchange: string;
  readonly routingKey: string;
  /** Wait for the broker's confirm. */
  readonly confirm: boolean;
  /** Without `confirm`: nobody misses it (an event, a control reply); what cannot leave now is dropped and counted. */
  readonly mayBeDropped?: boolean | undefined;
  /** Fail with `UnroutableError` when no queue takes it. */
  readonly mandatory: boolean;
  /** The queue of the app's topology that should exist first; whoever publishes declares it. */
  readonly queue?: string | undefined;
  /** Seconds from the call to the broker's confirm; default: the publisher's. */
  readonly timeoutSeconds?: number | undefined;
  /** How often and how fast it is sent again after a lost connection, over the publisher's own policy; false: never. */
  readonly retry?: PublishRetryPolicy | false | undefined;
  /** On its way through the broker's delay levels: where it is to be in the end. */
  readonly delayedTo?: { readonly exchange: string; readonly routingKey: string } | undefined;
}

/** Where a message came from. */
export interface DeliveryInfo {
  readonly exchange: string;
  readonly routingKey: string;
  readonly priority: number | undefined;
  readonly redelivered: boolean;
}

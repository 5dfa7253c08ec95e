/**
 * What the room counts: one plain object for each connection (or shared by several), written by the connection,
 * its publisher and its consumers, read by `inspect stats` and by tests. Numbers only grow.
 */
export interface AmqpMetrics {
  /** Connections opened, the first one included. */
  connects: number;
  /** Connections opened after a loss. */
  reconnects: number;
  /** Attempts that did not lead to an open connection. */
  connectFailures: number;
  /** Channels that the broker closed. */
  channelErrors: number;
  /** Messages handed to the socket, repeats included. */
  published: number;
  /** Messages the broker confirmed. */
  confirmed: number;
  /** Messages sent again after a loss. */
  republished: number;
  /** Mandatory messages that no queue took. */
  returned: number;
  /** Messages the broker refused. */
  nacked: number;
  /** Publishes that ended in `PublishTimeoutError`. */
  timedOut: number;
  /** Unconfirmed messages not sent because there was no connection, or no room. */
  dropped: number;
  /** Messages received. */
  deliveries: number;
  /** Messages acknowledged. */
  acks: number;
  /** Frames those acknowledgements took. */
  ackFrames: number;
  /** Messages rejected or put back. */
  rejects: number;
  /** Acknowledgements and rejections of a channel that is gone: nothing was sent. */
  staleAcks: number;
  /** Consumers the broker cancelled (their queue was deleted, say). */
  cancelled: number;
  /** Consumers restored after a loss. */
  restored: number;
}

/** A fresh set of counters, all zero. */
export function createMetrics(): AmqpMetrics {
  return {
    connects: 0,
    reconnects: 0,
    connectFailures: 0,
    channelErrors: 0,
    published: 0,
    confirmed: 0,
    republished: 0,
    returned: 0,
    nacked: 0,
    timedOut: 0,
    dropped: 0,
    deliveries: 0,
    acks: 0,
    ackFrames: 0,
    rejects: 0,
    staleAcks: 0,
    cancelled: 0,
    restored: 0,
  };
}

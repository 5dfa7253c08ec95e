/**
 * RabbitMQ: connections, topology, publishing, consuming. amqplib is imported in this room and nowhere else.
 * What other rooms may use is listed here by name.
 */
export { BrokerMemory } from './broker-memory.ts';
export { celeryDelayLevels, isDelayedByCelery, reachableByCelery } from './celery-delay.ts';
export { deleteExchange, deleteQueue, inspectQueue, purgeQueue } from './client.ts';
export {
  Connection,
  type ConnectionEvents,
  type ConnectionOptions,
  type ConnectionRetry,
  type ConnectionState,
} from './connection.ts';
export { Consumer, type ConsumerOptions } from './consumer.ts';
export { within } from './deadline.ts';
export { declareQueues, type QueueCounts } from './declare.ts';
export {
  type DelayTarget,
  delayExchange,
  delayKey,
  delayLevels,
  delayTarget,
  longestDelaySeconds,
  reachable,
} from './delayed-delivery.ts';
export { Delivery } from './delivery.ts';
export { brokerVersion, Hands, type Peeked, peekQueue, type TakenMessage } from './hands.ts';
export { type AmqpMetrics, createMetrics } from './metrics.ts';
export { Publisher, type PublisherOptions } from './publisher.ts';
export {
  type AmqpArguments,
  type Binding,
  type BindingOptions,
  Broadcast,
  Exchange,
  type ExchangeOptions,
  type ExchangeType,
  Queue,
  type QueueOptions,
} from './topology.ts';
export { type BrokerUrl, maskedUrl, parseBrokerUrls, type TlsOptions } from './url.ts';

/** The embedded AMQP 0-9-1 broker, exported to users as `celery-ts/broker`. */
export { type Broker, type BrokerOptions, type BrokerStats, type QueueStats, startBroker } from './broker.ts';

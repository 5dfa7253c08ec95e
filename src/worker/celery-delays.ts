/**
 * What Celery's clients need to delay tasks of quorum queues: its levels and bindings, declared where Celery's own
 * worker would. Tasks of this package take our levels (`amqp/delayed-delivery.ts`).
 */
import { celeryDelayLevels, type Queue, reachableByCelery } from '../amqp/index.ts';
import type { Celery } from '../app/index.ts';

/** Declares them when a queue is a quorum queue. A broker that refuses is told of and no reason to stop. */
export async function declareCeleryDelays(app: Celery, queues: readonly Queue[]): Promise<void> {
  if (!queues.some(({ queueType }) => queueType === 'quorum')) return;
  const ends = queues.map(reachableByCelery).filter((queue) => queue !== undefined);
  try {
    const publisher = await app.publisher();
    await publisher.declare([...celeryDelayLevels(app.config.brokerNativeDelayedDeliveryQueueType), ...ends]);
  } catch (error) {
    app.system.log.warn(
      { err: error },
      "Celery's own delay queues could not be declared; delayed tasks of its clients may not arrive",
    );
  }
}

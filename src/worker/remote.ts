/**
 * What a worker says of itself and hears from afar: events, heartbeat, gossip, remote control. None of it stands in the
 * way of tasks: a service that cannot be opened is missed, not fatal.
 */
import { type Celery, controlTopology } from '../app/index.ts';
import { ControlNode } from '../control/index.ts';
import type { CloseStack } from '../core/close-stack.ts';
import { packageVersion } from '../core/package-version.ts';
import { EventDispatcher, softwareInfo } from '../events/index.ts';
import { type CommandHost, commandHandlers } from './commands/index.ts';
import { Gossip } from './consumer/gossip.ts';
import { Heartbeat } from './consumer/heartbeat.ts';
import { mingle } from './consumer/mingle.ts';
import type { Revoked } from './revoked.ts';
import type { WorkerFeatures } from './worker.ts';

/** Worker events always go out; task events with `-E`, or when remote control enables them. */
export async function openDispatcher(app: Celery, nodeName: string): Promise<EventDispatcher> {
  const { config, system } = app;
  return new EventDispatcher({
    publisher: await app.publisher(),
    codec: app.codec,
    clock: app.remote.clock,
    system,
    hostname: nodeName,
    exchange: config.eventExchange,
    serializer: config.eventSerializer,
    ...(config.workerSendTaskEvents ? {} : { groups: ['worker'] }),
    gathersTaskEvents: true,
  });
}

/** Takes over what the neighbours know, before the first message. */
export async function greet(app: Celery, nodeName: string, revoked: Revoked): Promise<void> {
  const { log } = app.system;
  try {
    const neighbours = await mingle(app, nodeName, revoked);
    if (neighbours.length > 0) log.info({ neighbours }, 'Synchronised with other workers');
  } catch (error) {
    log.warn({ err: error }, 'The other workers could not be asked what they know');
  }
}

/** Opens heartbeat, gossip and remote control, and gives them to the stack. */
export async function openRemote(
  host: Omit<CommandHost, 'heartbeat' | 'gossip' | 'clock'>,
  features: WorkerFeatures,
  opened: CloseStack,
): Promise<void> {
  const { app, connection, events, nodeName, tasks } = host;
  const { config, system } = app;
  const software = softwareInfo(packageVersion(), process.platform);
  const heartbeat = opened.adopt(
    new Heartbeat({
      app,
      events,
      tasks,
      software,
      intervalSeconds: features.heartbeatInterval,
      isSilent: features.heartbeat === false,
    }),
  );
  const gossip =
    features.gossip === false ? undefined : opened.adopt(await Gossip.open({ app, nodeName, connection, events }));
  if (config.workerEnableRemoteControl) {
    opened.adopt(
      await ControlNode.open({
        node: nodeName,
        connection,
        publisher: await app.publisher(),
        handlers: commandHandlers({ ...host, clock: app.remote.clock, heartbeat, gossip }),
        allow: config.workerControlAllow,
        codec: app.codec,
        clock: app.remote.clock,
        system,
        serializer: config.taskSerializer,
        ...controlTopology(config),
      }),
    );
  }
  // After remote control: monitors ask a worker about itself as soon as they hear of it.
  heartbeat.start();
  await events.isOut();
}

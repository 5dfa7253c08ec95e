/** What workers announce: what other rooms may use. */
export { type CaptureOptions, captureEvents } from './capture.ts';
export { type DispatcherOptions, EventDispatcher } from './dispatcher.ts';
export { heartbeatFields, type SoftwareInfo, softwareInfo, type WorkerVitals } from './heartbeat.ts';
export { type EventHandler, EventReceiver, type ReceivedEvent, type ReceiverOptions } from './receiver.ts';
export { type Camera, type SnapshotOptions, Snapshots } from './snapshots.ts';
export { ClusterState, type ClusterStateOptions, type TaskQuery } from './state.ts';
export { type TaskFields, TaskState, type TaskSubject } from './task-state.ts';
export { type EventQueueOptions, eventExchange, eventQueue } from './topology.ts';
export { heartbeatExpireWindow, WorkerState } from './worker-state.ts';

/** What workers are asked: what other rooms may use. */
export { argumentsFromWords, checkArguments } from './command-arguments.ts';
export {
  type ArgumentType,
  type CommandArgument,
  type CommandName,
  type ControlCommand,
  commands,
} from './commands.ts';
export {
  type AddConsumerOptions,
  type Broadcasted,
  type BroadcastOptions,
  Control,
  type ControlHost,
  type RevokeTaskOptions,
} from './control.ts';
export { type Answers, Inspect, type InspectOptions } from './inspect.ts';
export { type AskOptions, type Audience, Mailbox, type MailboxOptions, type NodeReply } from './mailbox.ts';
export { type CommandHandler, ControlNode, type ControlNodeOptions, isAddressed, noReply } from './node.ts';
export {
  type Acknowledgement,
  type ActiveQueue,
  type HelloReply,
  isRefusal,
  type Refusal,
  type ScheduledTask,
  type TaskInfo,
  type WorkerStats,
} from './replies.ts';
export { type ControlTopologyOptions, nodeQueue, replyExchange, replyQueue, requestExchange } from './topology.ts';

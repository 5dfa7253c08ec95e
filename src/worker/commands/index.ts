/**
 * The commands of remote control, worker side: every row of `control/commands.ts` has its handler here; those of the
 * user come beside them.
 */
import { type CommandHandler, type ControlCommand, checkArguments, commands } from '../../control/index.ts';
import type { CommandHost, WorkerCommand } from './host.ts';
import { nodeCommands } from './node.ts';
import { resourceCommands } from './resources.ts';
import { taskCommands } from './tasks.ts';

export type { CommandHost } from './host.ts';

/** Handlers by name and by alias, arguments checked before they see them. */
export function commandHandlers(host: CommandHost): ReadonlyMap<string, CommandHandler> {
  const own: Readonly<Record<string, WorkerCommand>> = { ...nodeCommands, ...taskCommands, ...resourceCommands };
  const handlers = new Map<string, CommandHandler>();
  for (const [name, row] of Object.entries<ControlCommand>(commands)) {
    const command = own[name];
    if (command === undefined) continue;
    const handler: CommandHandler = (args) => command(host, checkArguments(name, row, args));
    handlers.set(name, handler);
    if (row.alias !== undefined) handlers.set(row.alias, handler);
  }
  for (const [name, { handler }] of host.app.remote.commands) handlers.set(name, handler);
  return handlers;
}

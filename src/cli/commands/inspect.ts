/** `celery-ts inspect`: asks workers about themselves. */
import type { DefineCommand } from '../program.ts';
import { remoteCommand } from '../remote-command.ts';

export const inspectCommand: DefineCommand = (context, run) =>
  remoteCommand('inspect', 'ask workers about themselves; changes nothing', context, run);

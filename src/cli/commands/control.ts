/** `celery-ts control`: tells workers what to do. */
import type { DefineCommand } from '../program.ts';
import { remoteCommand } from '../remote-command.ts';

export const controlCommand: DefineCommand = (context, run) =>
  remoteCommand('control', 'tell workers what to do', context, run);

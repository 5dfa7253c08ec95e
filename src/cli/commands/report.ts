/** `celery-ts report`: what a bug report needs to know of the software and the settings; no secret in it. */
import { Command } from 'commander';
import { versionReport } from '../../worker/index.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import type { DefineCommand } from '../program.ts';

export const reportCommand: DefineCommand = (context, run) =>
  new Command('report')
    .description('print versions and settings for a bug report; secrets are masked')
    .action((_options: object, command: Command) => run(report(context, command)));

async function report(context: CommandContext, command: Command): Promise<number> {
  const { app } = await loadCommandApp(context, command, { optional: true });
  say(context, versionReport(app));
  return 0;
}

/** `celery-ts status`: which workers are there. */
import { Command } from 'commander';
import { bigintAsText, nodeCount } from '../answers.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';
import { addRemoteOptions, askWorkers, defaultTimeoutSeconds, type RemoteOptions } from '../remote.ts';

export const statusCommand: DefineCommand = (context, run) =>
  addRemoteOptions(new Command('status').description('show which workers are online')).action(
    (_options: object, command: Command) => run(status(context, command)),
  );

async function status(context: CommandContext, command: Command): Promise<number> {
  const options = command.optsWithGlobals<RemoteOptions>();
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const question = {
      method: 'ping',
      args: {},
      defaultTimeout: defaultTimeoutSeconds,
      showsAnswers: false,
      empty: '{}',
    };
    const replies = await askWorkers(context, app, question, options);
    if (options.json === true) {
      say(context, JSON.stringify(Object.fromEntries(replies.map(({ node, value }) => [node, value])), bigintAsText));
    } else if (options.quiet !== true) say(context, `\n${nodeCount(replies.length)}`);
    return exitCodes.done;
  } finally {
    await app.close();
  }
}

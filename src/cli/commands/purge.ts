/** `celery-ts purge`: empties the queues of an app, once somebody has said yes. */
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { purgeQueue } from '../../amqp/index.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';
import { list } from './worker.ts';

interface Options {
  readonly force?: boolean;
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
}

export const purgeCommand: DefineCommand = (context, run) =>
  new Command('purge')
    .description('empty the queues of the app; asks first')
    .option('-f, --force', 'do not ask')
    .option('-Q, --queues <names>', 'these queues only, comma separated', list)
    .option('-X, --exclude-queues <names>', 'all but these queues, comma separated', list)
    .action((options: Options, command: Command) => run(purge(context, options, command)));

async function purge(context: CommandContext, options: Options, command: Command): Promise<number> {
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const queues = app.router.consumed({ only: options.queues, except: options.excludeQueues });
    const names = queues.map(({ name }) => name).sort();
    if (names.length === 0) {
      say(context, 'There is no queue to empty.');
      return exitCodes.done;
    }
    const many = names.length === 1 ? 'queue' : 'queues';
    if (options.force !== true) {
      say(context, `All messages in the ${many} ${names.join(', ')} will be gone. There is no way back.`);
      if (!(await isYes(context, 'Empty them? (yes/no) -f does not ask. '))) {
        say(context, 'Nothing was touched.');
        return exitCodes.failed;
      }
    }
    const connection = await app.connections.consuming();
    let count = 0;
    for (const name of names) count += await purgeQueue(connection, name);
    const messages = `${count} ${count === 1 ? 'message' : 'messages'}`;
    say(
      context,
      count === 0
        ? `No messages purged from ${names.length} ${many}`
        : `Purged ${messages} from ${names.length} known task ${many}.`,
    );
    return exitCodes.done;
  } finally {
    await app.close();
  }
}

/** One line of standard input; its end is a no. */
async function isYes(context: CommandContext, question: string): Promise<boolean> {
  context.stdout.write(question);
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) return /^y(es)?$/i.test(line.trim());
    context.stdout.write('\n');
    return false;
  } finally {
    lines.close();
  }
}

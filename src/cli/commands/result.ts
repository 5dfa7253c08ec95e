/** `celery-ts result`: waits for the result of a task and prints it. */
import { Command } from 'commander';
import { ImproperlyConfigured } from '../../core/errors.ts';
import type { AsyncResult } from '../../results/index.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { CommandError } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';
import { seconds } from './worker.ts';

interface Options {
  readonly task?: string;
  readonly traceback?: boolean;
  readonly timeout?: number;
}

export const resultCommand: DefineCommand = (context, run) =>
  new Command('result')
    .description('wait for the result of a task and print it')
    .argument('<id>', 'the id of the task')
    .option('-t, --task <name>', "the task's name, to use that task's backend")
    .option('--traceback', 'print the traceback instead of the value')
    .option('--timeout <seconds>', 'give up after this long; waits without end by default', seconds)
    .action((id: string, options: Options, command: Command) => run(result(context, id, options, command)));

async function result(context: CommandContext, id: string, options: Options, command: Command): Promise<number> {
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const backend = await app.backend();
    if (backend.name === 'rpc') {
      throw new ImproperlyConfigured(
        'rpc:// brings each result to the program that sent the task, so it cannot be asked for from here. Set resultBackend to a store (redis://…) to look results up later.',
      );
    }
    const handle = app.AsyncResult(id);
    if (options.traceback === true) {
      await handle.get({ timeout: options.timeout, propagate: false });
      say(context, (await handle.traceback()) ?? '');
    } else await printResult(context, handle, options.timeout);
    return 0;
  } finally {
    await app.close();
  }
}

/** Waits and prints; a task that failed is told as an error, whoever's it is. @throws {CommandError} 1 */
export async function printResult(
  context: CommandContext,
  handle: AsyncResult<unknown>,
  timeout: number | undefined,
): Promise<void> {
  const value = await handle.get({ timeout, propagate: false });
  if (await handle.successful()) return say(context, shown(value));
  const why = value instanceof Error ? `${value.name}: ${value.message}` : shown(value);
  throw new CommandError(`The task ended as ${await handle.state()}: ${why}`);
}

/** A text as it is, all else as JSON. */
function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}

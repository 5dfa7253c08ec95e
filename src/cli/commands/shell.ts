/** `celery-ts shell`: Node's own prompt with the app, its tasks and what one needs to call them at hand. */
import { Command } from 'commander';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';

interface Options {
  readonly withoutTasks?: boolean;
}

export const shellCommand: DefineCommand = (context, run) =>
  new Command('shell')
    .description('open a prompt with the app and its tasks; promises are awaited')
    .option('-T, --without-tasks', 'leave the tasks out')
    .action((options: Options, command: Command) => run(shell(context, options, command)));

async function shell(context: CommandContext, options: Options, command: Command): Promise<number> {
  const { app } = await loadCommandApp(context, command, { optional: true });
  const names: Record<string, unknown> = { app };
  names.AsyncResult = (id: string) => app.AsyncResult(id);
  if (options.withoutTasks !== true) {
    for (const name of app.tasks.names()) {
      const word = name.slice(name.lastIndexOf('.') + 1).replace(/[^\w$]/g, '_');
      if (!name.startsWith('celery.') && !(word in names)) names[word] = app.tasks.get(name);
    }
  }
  say(context, `celery-ts shell, app '${app.main}'. At hand: ${Object.keys(names).join(', ')}.`);
  say(context, 'Promises are awaited: (await add.delay(1, 2)).get()');
  // Here: with it comes `domain`, which listens for uncaught errors beside everybody who does (the pools in this process).
  const { start } = await import('node:repl');
  const prompt = start({ prompt: 'celery> ', input: process.stdin, output: process.stdout });
  // What users import, from outside the rooms: the package as a whole.
  const api: Record<string, unknown> = await import(new URL('../../index.js', import.meta.url).href);
  Object.assign(prompt.context, api, { celery: app }, names);
  await new Promise<void>((resolve) => prompt.once('exit', () => resolve()));
  await app.close();
  return exitCodes.done;
}

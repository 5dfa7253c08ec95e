/** `celery-ts logtool`: what log files of workers say of tasks; ours and Python Celery's. */
import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Command } from 'commander';
import { type CommandContext, say } from '../context.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { isFailure, LogAudit } from '../log-audit.ts';
import { LogReader, type LogRecord, type TaskNews } from '../log-records.ts';
import type { DefineCommand } from '../program.ts';
import { printable } from '../style.ts';
import { columns } from '../table.ts';

interface Tool {
  readonly name: string;
  readonly description: string;
  /** Prints each record that it is about, or adds it up. */
  readonly open: (print: (text: string) => void) => { record(record: LogRecord): void; end?(): void };
}

const tools: readonly Tool[] = [
  {
    name: 'stats',
    description: 'count tasks, by name and by how they ended',
    open: (print) => {
      const audit = new LogAudit();
      return { record: (record) => audit.add(record), end: () => stats(audit, print) };
    },
  },
  {
    name: 'traces',
    description: 'print the tracebacks, each below what it belongs to',
    open: (print) => ({
      record: ({ line, traceback }) => {
        if (traceback !== undefined) print(`${line}\n${traceback}\n`);
      },
    }),
  },
  {
    name: 'errors',
    description: 'print the lines of tasks that failed or were refused, retries left out',
    open: (print) => ({
      record: (record) => {
        if (isFailure(record)) print(record.line);
      },
    }),
  },
  {
    name: 'incomplete',
    description: 'print the tasks that were received and did not end',
    open: (print) => {
      const audit = new LogAudit();
      const end = (): void => {
        for (const { id, task } of audit.incomplete) print(`Did not complete: ${task}[${id}]`);
      };
      return { record: (record) => audit.add(record), end };
    },
  },
  {
    name: 'debug',
    description: 'print the lines that are about no task',
    open: (print) => ({
      record: ({ news, text }) => {
        if (news === undefined) print(text);
      },
    }),
  },
];

export const logtoolCommand: DefineCommand = (context, run) => {
  const command = new Command('logtool').description('read log files of workers: ours, and those of Python Celery');
  for (const tool of tools) {
    command.addCommand(
      new Command(tool.name)
        .description(tool.description)
        .argument('[files...]', 'log files, *.gz too; without any, or for -, standard input')
        .action((files: string[], _options: object, command: Command) => run(readLogs(context, tool, files, command))),
    );
  }
  return command;
};

async function readLogs(
  context: CommandContext,
  tool: Tool,
  files: readonly string[],
  command: Command,
): Promise<number> {
  const { workdir = '.' } = command.optsWithGlobals<{ workdir?: string }>();
  const work = tool.open((text) => say(context, printable(text)));
  for (const file of files.length === 0 ? ['-'] : files) {
    const reader = new LogReader((record) => work.record(record));
    for await (const line of linesOf(file, workdir)) reader.feed(line);
    reader.end();
  }
  work.end?.();
  return exitCodes.done;
}

async function* linesOf(file: string, workdir: string): AsyncGenerator<string> {
  const source: Readable = file === '-' ? process.stdin : createReadStream(resolve(workdir, file));
  const plain = file.endsWith('.gz') ? source.pipe(createGunzip()) : source;
  source.on('error', (error) => plain.destroy(error)); // a pipe does not pass it on
  try {
    yield* createInterface({ input: plain, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw new CommandError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const shownNews: readonly TaskNews[] = [
  'received',
  'succeeded',
  'failed',
  'retried',
  'ignored',
  'rejected',
  'revoked',
  'terminated',
  'timed out',
  'lost',
  'returned',
];

function stats(audit: LogAudit, print: (text: string) => void): void {
  const { completed, errors, succeeded, tasks, total } = audit.totals;
  print(`Task total: ${total}`);
  print(`Task errors: ${errors}`);
  print(`Task success: ${succeeded}`);
  print(`Task completed: ${completed}`);
  if (tasks.length === 0) return;
  const shown = shownNews.filter((news) => tasks.some(({ counts }) => counts[news] !== undefined));
  const rows = tasks.map(({ counts, task }) => [task, ...shown.map((news) => String(counts[news] ?? 0))]);
  print('');
  for (const line of columns(['TASK', ...shown.map((news) => news.toUpperCase())], rows)) print(line);
}

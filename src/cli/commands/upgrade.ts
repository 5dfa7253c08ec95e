/** `celery-ts upgrade settings`: Celery's old names of settings in a file become the new ones; a copy is kept. */
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { oldNames, settingNames, snakeCase } from '../../app/settings.ts';
import { type CommandContext, say } from '../context.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';

interface Options {
  readonly django?: boolean;
  readonly compat?: boolean;
  readonly backup: boolean;
}

export const upgradeCommand: DefineCommand = (context, run) =>
  new Command('upgrade').description('bring files of older versions up to date').addCommand(
    new Command('settings')
      .description('write the new names of settings into a config module, old ones as in CELERY_TASK_SERIALIZER')
      .argument('<file>', 'the module')
      .option('--django', 'new names in capitals with CELERY_ before them')
      .option('--compat', 'the same')
      .option('--no-backup', 'keep no copy called <file>.orig')
      .action((file: string, options: Options, command: Command) => run(upgrade(context, file, options, command))),
  );

async function upgrade(context: CommandContext, file: string, options: Options, command: Command): Promise<number> {
  const { workdir = '.' } = command.optsWithGlobals<{ workdir?: string }>();
  const path = resolve(workdir, file);
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new CommandError(`${file} cannot be read: ${error.message}`);
  });
  const isTypeScript = /\.[cm]?[jt]s$/.test(file);
  const isNamespaced = options.django === true || options.compat === true;
  const lines: string[] = [];
  const upgraded = upgradeSettings(
    text,
    (name) => {
      if (isNamespaced) return `CELERY_${snakeCase(name).toUpperCase()}`;
      return isTypeScript ? name : snakeCase(name);
    },
    (from, to, line) => lines.push(`${file}:${line}  ${from} -> ${to}`),
  );
  if (lines.length === 0) {
    say(context, `${file} has no old names.`);
    return exitCodes.done;
  }
  try {
    if (options.backup) await writeFile(`${path}.orig`, text, { flag: 'wx' });
    await writeFile(path, upgraded);
  } catch (error) {
    throw new CommandError(`${file} cannot be upgraded: ${(error as Error).message}`, exitCodes.cannotCreate);
  }
  for (const line of lines) say(context, line);
  return exitCodes.done;
}

/** Whole words only; what is a part of a longer name stays. Pure. */
export function upgradeSettings(
  text: string,
  newName: (setting: (typeof settingNames)[number]) => string,
  onChange: (from: string, to: string, line: number) => void = () => undefined,
): string {
  const names = new Map(settingNames.flatMap((name) => oldNames(name).map((old) => [old, newName(name)] as const)));
  return text
    .split('\n')
    .map((line, index) =>
      line.replace(/(?<![\w$.])[A-Z][A-Z0-9_]+(?![\w$])/g, (word) => {
        const to = names.get(word);
        if (to === undefined || to === word) return word;
        onChange(word, to, index + 1);
        return to;
      }),
    )
    .join('\n');
}

/** `celery-ts completion bash|zsh|fish`: a script that completes commands and options, made of the program itself. */
import { Argument, Command } from 'commander';
import { type CommandContext, say } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';

export const completionCommand: DefineCommand = (context, run) =>
  new Command('completion')
    .description('print a script that completes commands and options; source it in your shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .action((shell: string, _options: object, command: Command) => run(completion(context, shell, command)));

interface Words {
  /** Empty for the program itself. */
  readonly command: string;
  readonly description: string;
  readonly words: readonly string[];
}

async function completion(context: CommandContext, shell: string, command: Command): Promise<number> {
  const program = command.parent ?? command;
  const all = [program, ...program.commands].map((command): Words => {
    const options = command.options.filter(({ hidden }) => !hidden).flatMap(({ long, short }) => [long, short]);
    const words = [...command.commands.map((inner) => inner.name()), ...options, '--help'];
    return {
      command: command === program ? '' : command.name(),
      description: command.description(),
      words: [...new Set(words.filter((word) => word !== undefined))],
    };
  });
  say(context, shell === 'fish' ? fish(all) : bash(all, shell === 'zsh'));
  return exitCodes.done;
}

function bash(all: readonly Words[], isZsh: boolean): string {
  const cases = all.map(({ command, words }) => `    ${command === '' ? '*' : command}) words='${words.join(' ')}' ;;`);
  return [
    `# celery-ts completion for ${isZsh ? 'zsh: source <(celery-ts completion zsh)' : 'bash: source <(celery-ts completion bash)'}`,
    ...(isZsh ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_celery_ts() {',
    '  local command="" word words i',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    `    word="\${COMP_WORDS[i]}"`,
    `    case "$word" in ${all
      .map(({ command }) => command)
      .filter(Boolean)
      .join('|')}) command="$word"; break ;; esac`,
    '  done',
    '  case "$command" in',
    ...[...cases.slice(1), ...cases.slice(0, 1)],
    '  esac',
    `  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))`,
    '}',
    'complete -o default -F _celery_ts celery-ts',
  ].join('\n');
}

function fish(all: readonly Words[]): string {
  const lines = ['# celery-ts completion for fish: celery-ts completion fish | source'];
  for (const { command, description, words } of all) {
    if (command !== '') {
      lines.push(
        `complete -c celery-ts -n __fish_use_subcommand -a ${command} -d '${description.replaceAll("'", `\\'`)}'`,
      );
    }
    const when = command === '' ? '__fish_use_subcommand' : `'__fish_seen_subcommand_from ${command}'`;
    for (const word of words) {
      if (word.startsWith('--')) lines.push(`complete -c celery-ts -n ${when} -l ${word.slice(2)}`);
      else if (word.startsWith('-')) lines.push(`complete -c celery-ts -n ${when} -s ${word.slice(1)}`);
      else if (command !== '') lines.push(`complete -c celery-ts -n ${when} -a ${word}`);
    }
  }
  return lines.join('\n');
}

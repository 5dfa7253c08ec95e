/**
 * `celery-ts`: runs a command and turns what goes wrong into one readable line and an exit code.
 */
import { CeleryError } from '../core/errors.ts';
import { printable } from '../core/log-text.ts';
import { packageVersion } from '../core/package-version.ts';
import { isCode } from '../core/process-identity.ts';
import { redactText } from '../core/redact.ts';
import type { CommandContext } from './context.ts';
import { describeCrash, watchCrashes } from './crash.ts';
import { Starter } from './detach.ts';
import { DevLink } from './dev/link.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { runProgram } from './program.ts';

/** Runs the command line; resolves to the exit code. Never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  const { env, stderr, stdin, stdout } = process;
  const terminal = stdin.isTTY && stdout.isTTY ? { input: stdin, output: stdout } : undefined;
  const starter = new Starter(env);
  for (const stream of [stdout, stderr]) stream.on('error', (error) => onOutputGone(error, argv));
  const context: CommandContext = { stdout, stderr, terminal, starter, dev: DevLink.of(env), env };
  watchCrashes({ withStack: isDebugging(argv), tell: (text) => starter.failed(text) });
  try {
    return await runProgram(argv, packageVersion(), context);
  } catch (error) {
    const { exitCode, text } = describe(error, isDebugging(argv));
    context.stderr.write(text);
    starter.failed(text);
    return exitCode;
  }
}

/** Whoever read along has left (`| head`): what prints is done then, what works goes on unheard. */
function onOutputGone(error: Error, argv: readonly string[]): void {
  if (argv.some((word) => ['worker', 'beat', 'broker', 'dev', 'multi'].includes(word))) return;
  process.exit(isCode(error, 'EPIPE') ? exitCodes.done : exitCodes.failed);
}

/** One readable line; with `--loglevel debug` the stack too. */
function describe(error: unknown, withStack: boolean): { readonly text: string; readonly exitCode: number } {
  if (!(error instanceof CeleryError)) return describeCrash(error, withStack);
  const text = `Error: ${error.message}\n${withStack ? `${error.stack ?? ''}\n` : ''}`;
  return { text: printable(redactText(text)), exitCode: exitCodeOf(error) };
}

function isDebugging(argv: readonly string[]): boolean {
  return argv.some(
    (word, index) =>
      /^(-l|--loglevel=)debug$/i.test(word) ||
      (/^(-l|--loglevel)$/.test(word) && /^debug$/i.test(argv[index + 1] ?? '')),
  );
}

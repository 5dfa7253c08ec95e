/**
 * Where `celery-ts` begins: a folder that has a copy of the package of its own is served by that copy, so that its
 * files and the program mean the same package; any other folder by this one.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { otherProgram } from '../app/load-module.ts';

/** Runs the command line and sets the exit code of the process. */
export async function start(argv: readonly string[]): Promise<void> {
  const other = otherProgram(resolve(workdirOf(argv) ?? '.'));
  if (other !== undefined) {
    await import(pathToFileURL(other).href);
    return;
  }
  const { main } = await import('./main.ts');
  process.exitCode = await main(argv);
}

/** `--workdir folder`, which counts before anything is loaded. */
function workdirOf(argv: readonly string[]): string | undefined {
  const at = argv.findIndex((word) => word === '--workdir' || word.startsWith('--workdir='));
  if (at === -1) return undefined;
  return argv[at]?.includes('=') ? argv[at]?.slice('--workdir='.length) : argv[at + 1];
}

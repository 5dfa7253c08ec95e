/** The examples as their readers run them: compiled as by `npm run programs`, the worker from the command line. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './build.ts';
import { type Ended, Program } from './process.ts';

export interface Examples extends AsyncDisposable {
  /** Starts a compiled entry: `crawler/crawl`. */
  start(entry: string, env: Readonly<Record<string, string>>): Program;
  /** Starts a worker on an example's `tasks.ts`. */
  worker(example: string, words: readonly string[], env: Readonly<Record<string, string>>): Program;
}

/** Compiles the examples into a folder of their own, removed at the end. */
export async function compileExamples(): Promise<Examples> {
  await mkdir(join(root, 'build'), { recursive: true });
  const folder = await mkdtemp(join(root, 'build', 'examples-'));
  const words = ['-p', 'tsconfig.programs.json', '--outDir', folder, '--pretty', 'false'];
  await using compiler = new Program(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...words], {
    cwd: root,
  });
  const { code, stdout } = await compiler.ended;
  if (code !== 0) throw new Error(`The examples do not compile:\n${stdout}`);
  return {
    start: (entry, env) => new Program(process.execPath, [join(folder, 'examples', `${entry}.js`)], { cwd: root, env }),
    worker: (example, words, env) =>
      new Program(
        process.execPath,
        [join(root, 'bin/celery-ts.js'), 'worker', '-A', `./examples/${example}/tasks.ts`, '-l', 'INFO', ...words],
        { cwd: root, env },
      ),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}

/** The end of a program that ends by itself; killed after 25 s, so that a test that fails leaves nothing behind. */
export async function endOf(program: Program): Promise<Ended> {
  const tooLong = setTimeout(() => program.signal('SIGKILL'), 25_000);
  try {
    return await program.ended;
  } finally {
    clearTimeout(tooLong);
  }
}

/**
 * The command line as a user has it: a folder outside the repository, `celery-ts` installed there, the real bin run
 * with that folder as working directory.
 *
 *   await using project = await tempProject({ 'tasks.ts': source });
 *   await using worker = project.start(['worker', '-A', 'tasks'], { CELERY_BROKER_URL: broker.url });
 *   await worker.line(/ready\./);
 */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from './build.ts';
import { type Ended, Program } from './process.ts';

export interface TempProject extends AsyncDisposable {
  readonly folder: string;
  /** Adds or replaces a file. */
  write(path: string, text: string): Promise<void>;
  /** Starts `celery-ts …args` here and gives the running program. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Program;
  /** Runs `celery-ts …args` here to its end. Killed after 60 s. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>;
  /** Removes the folder. Programs are closed by whoever started them. */
  close(): Promise<void>;
}

/** Files by path; a path may name folders. */
export async function tempProject(files: Readonly<Record<string, string>> = {}): Promise<TempProject> {
  const folder = await mkdtemp(join(tmpdir(), 'celery-ts-project-'));
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  };
  await mkdir(join(folder, 'node_modules'));
  await symlink(root, join(folder, 'node_modules', 'celery-ts'), 'dir');
  for (const [path, text] of Object.entries(files)) await write(path, text);

  const start: TempProject['start'] = (args, env = {}) =>
    new Program(process.execPath, [join(root, 'bin', 'celery-ts.js'), ...args], { cwd: folder, env });
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 3 });
  return {
    folder,
    write,
    start,
    run: async (args, env) => {
      await using program = start(args, env);
      const tooLong = setTimeout(() => program.signal('SIGKILL'), 60_000);
      try {
        return await program.ended;
      } finally {
        clearTimeout(tooLong);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

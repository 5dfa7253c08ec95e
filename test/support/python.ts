/**
 * Python Celery on the other side of the wire. The interpreter is `CELERY_TEST_PYTHON`, else `python3`; it must be able
 * to import celery, and interop tests fail, not skip, when it cannot: a test nobody ran proves nothing.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program } from './process.ts';

const execFileAsync = promisify(execFile);

export interface Python {
  /** The interpreter. */
  readonly path: string;
  /** Celery's version. */
  readonly celery: string;
}

/** The interpreter to use. @throws when it is missing or cannot import celery. */
export async function findPython(): Promise<Python> {
  const path = process.env.CELERY_TEST_PYTHON ?? 'python3';
  try {
    const { stdout } = await execFileAsync(path, ['-c', 'import celery; print(celery.__version__)']);
    return { path, celery: stdout.trim() };
  } catch (error) {
    throw new Error(
      `Interop tests need Python Celery: set CELERY_TEST_PYTHON to an interpreter that can \`import celery\` (tried '${path}').`,
      { cause: error },
    );
  }
}

export interface PythonProject extends AsyncDisposable {
  readonly folder: string;
  readonly python: Python;
  /** Runs code to its end and gives what it printed, parsed: the code ends by `print(json.dumps(…))`. `json` is imported. */
  evaluate(code: string, env?: Readonly<Record<string, string>>): Promise<unknown>;
  /** `python -m celery …args`, running. */
  celery(args: readonly string[], env?: Readonly<Record<string, string>>): Program;
  close(): Promise<void>;
}

/** A folder with Python modules in it: `{ 'tasks.py': … }`. */
export async function pythonProject(files: Readonly<Record<string, string>>): Promise<PythonProject> {
  const python = await findPython();
  const folder = await mkdtemp(join(tmpdir(), 'celery-ts-python-'));
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text);
  const env = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
    PYTHONUNBUFFERED: '1',
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONPATH: folder,
    C_FORCE_ROOT: '1',
    ...more,
  });
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 3 });
  return {
    folder,
    python,
    evaluate: async (code, more) => {
      await using program = new Program(python.path, ['-c', `import json\n${code}`], { cwd: folder, env: env(more) });
      const tooLong = setTimeout(() => program.signal('SIGKILL'), 60_000);
      const { code: exit, signal, stdout, stderr } = await program.ended;
      clearTimeout(tooLong);
      if (exit !== 0) throw new Error(`Python ended with ${exit ?? signal}:\n${stdout}${stderr}`);
      const answer: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null');
      return answer;
    },
    celery: (args, more) => new Program(python.path, ['-m', 'celery', ...args], { cwd: folder, env: env(more) }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

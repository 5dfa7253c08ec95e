/**
 * Builds `dist` for tests that run the package as its users do, in other processes. Type errors do not stop it
 * (`npm run typecheck` does): the compiler writes its output all the same, and they are shown.
 */
import { spawn } from 'node:child_process';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The repository. */
export const root = join(import.meta.dirname, '..', '..');

const stamp = join(root, 'dist', '.built');

/** Does nothing when nothing in `src` changed since it ran last. */
export async function buildOnce(): Promise<void> {
  const [newest, built] = await Promise.all([newestSource(), modified(stamp)]);
  if (built !== undefined && built > newest) return;
  const startedAt = new Date();
  const { code, output } = await run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json']);
  if (code !== 0) console.warn(`The build has type errors:\n${output.split('\n').slice(0, 10).join('\n')}`);
  await writeFile(stamp, `${startedAt.toISOString()}\n`);
}

async function newestSource(): Promise<number> {
  const files = await readdir(join(root, 'src'), { recursive: true });
  const paths = [...files.map((file) => join(root, 'src', file)), join(root, 'tsconfig.build.json')];
  const times = await Promise.all(paths.map(modified));
  return Math.max(...times.map((time) => time ?? 0));
}

async function modified(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => found.mtimeMs,
    () => undefined,
  );
}

function run(command: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      output += String(chunk);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

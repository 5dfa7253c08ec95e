/** A file that a pool and one child share by its descriptor, and nobody else knows. */
import { mkdtempSync, openSync, rmdirSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Beyond this the storage behind what was read is given back at the next moment that nothing is on its way. */
export const tidyAtBytes = 4 * 1024 * 1024;

/** Its descriptor; undefined where there can be none. */
export function openSharedFile(): number | undefined {
  if (process.platform === 'win32') return undefined; // an open file cannot be unlinked there
  try {
    const folder = mkdtempSync(join(tmpdir(), 'celery-ts-'));
    const path = join(folder, 'shared');
    try {
      const fd = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      return fd;
    } finally {
      rmdirSync(folder);
    }
  } catch {
    return undefined;
  }
}

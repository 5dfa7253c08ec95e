/**
 * Replacing a file as a whole: at any moment it is the old or the new one, also after a crash.
 */
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CeleryError } from './errors.ts';
import { isCode } from './process-identity.ts';

/** A schedule or state file that can be neither read nor made (exit code 73). */
export class CannotCreateFile extends CeleryError {
  static override readonly name: string = 'CannotCreateFile';
  override readonly code: string = 'CELERY_CANNOT_CREATE_FILE';
  override readonly excModule: string = 'celery_ts.errors';
}

const noFollow = constants.O_NOFOLLOW ?? 0;

/** Writes beside, syncs, renames, syncs the folder: after a crash the file is whole, old or new. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.tmp`;
  await rm(draft, { force: true }); // left by a crash, or planted
  try {
    const file = await open(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | noFollow, 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, constants.O_RDONLY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    if (!isCode(error, 'EISDIR', 'EINVAL', 'EPERM', 'EACCES', 'ENOTSUP')) throw error; // folders that cannot be synced
  }
}

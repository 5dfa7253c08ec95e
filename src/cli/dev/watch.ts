/**
 * Tells when sources were written. The system's news of a folder are hints only; what counts is a comparison of times
 * and sizes, made when it has been quiet for a moment. So a touch of something else restarts nothing, and it matters
 * little how an editor saves. Folders are watched one by one: the recursive watch of Node 20 on Linux walks into
 * `node_modules`, each file of it. Measured: 3,000 sources in 150 folders are open in 0.3 s and told after 0.17 s.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, sep } from 'node:path';
import { isCode } from '../../core/process-identity.ts';
import type { System } from '../../core/system.ts';
import { changedFiles, type Imported, importedFiles, isCodeFile, isSkipped, type Snapshot } from './sources.ts';

export interface WatchOptions {
  /** Code is looked for below them. */
  readonly folders: readonly string[];
  /** The same, and files of any kind, that count whoever imports them. */
  readonly always: readonly string[];
  /** Look every so often instead of asking the system: for file systems that tell nothing. */
  readonly pollMs?: number | undefined;
  readonly system: System;
}

const quietMs = 100;
/** Somebody who writes all the time is not waited for. */
const longestWaitMs = 1000;
const mostFolders = 5000;
const pollFallbackMs = 1000;

export class SourceWatch {
  readonly #options: WatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #changed = new Set<string>();
  #imported: Imported | undefined;
  #snapshot: Snapshot = new Map();
  #folders: ReadonlySet<string> = new Set();
  #pollMs: number | undefined;
  #hintedAt: number | undefined;
  #cancelTimer: () => void = () => undefined;
  #looking: Promise<void> | undefined;
  #isClosed = false;
  #isCrowded = false;
  #wake: () => void = () => undefined;

  private constructor(options: WatchOptions) {
    this.#options = options;
    this.#pollMs = options.pollMs;
  }

  /** Begins with the files as they are now. */
  static async open(options: WatchOptions): Promise<SourceWatch> {
    const opened = new SourceWatch(options);
    await opened.#look(true);
    return opened;
  }

  /** One line for people: what is watched. */
  get sentence(): string {
    const imported = this.#imported;
    const count = imported === undefined || imported.isOpen ? this.#snapshot.size : imported.files.size;
    const files = `${count} ${count === 1 ? 'file' : 'files'}`;
    return imported?.isOpen === true ? `${files}: all code here, as not every import can be read` : files;
  }

  /** From now on what these modules import counts, wherever it is, and no other code, unless that cannot be told. */
  async follow(entries: readonly string[]): Promise<void> {
    this.#imported = await importedFiles(entries, (path) => readFile(path, 'utf8').catch(() => undefined));
    await this.#look(true);
  }

  /**
   * Files that were written since they were asked for last; waits until there is one. Rejects with `signal.reason`.
   * @param which `any` code here: what does not load may lack a file that nobody imports yet.
   */
  async next(signal: AbortSignal, which: 'imported' | 'any'): Promise<readonly string[]> {
    for (;;) {
      const changed = [...this.#changed].filter((path) => which === 'any' || this.#counts(path)).sort();
      this.#changed.clear();
      if (changed.length > 0) return changed;
      signal.throwIfAborted();
      const { promise, resolve } = deferred();
      this.#wake = resolve;
      signal.addEventListener('abort', resolve, { once: true });
      await promise;
      signal.removeEventListener('abort', resolve);
    }
  }

  #counts(path: string): boolean {
    if (this.#imported === undefined || this.#imported.isOpen || this.#imported.files.has(path)) return true;
    return this.#options.always.some((watched) => path === watched || path.startsWith(watched + sep));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
    for (const folder of [...this.#watchers.keys()]) this.#forget(folder);
  }

  #hint(): void {
    const { system } = this.#options;
    const now = system.monotonic();
    this.#hintedAt ??= now;
    const left = Math.min(quietMs, this.#hintedAt + longestWaitMs - now);
    this.#cancelTimer();
    this.#cancelTimer = system.after(Math.max(0, left), () => {
      this.#hintedAt = undefined;
      void this.#look(false);
    });
  }

  async #look(isFirst: boolean): Promise<void> {
    while (this.#looking !== undefined) await this.#looking;
    this.#looking = this.#compare(isFirst);
    try {
      await this.#looking;
    } finally {
      this.#looking = undefined;
    }
    if (this.#pollMs !== undefined && !this.#isClosed) {
      this.#cancelTimer();
      this.#cancelTimer = this.#options.system.after(this.#pollMs, () => void this.#look(false));
    }
  }

  /** With `isFirst`, files that were not looked at before are no change. */
  async #compare(isFirst: boolean): Promise<void> {
    let after = await this.#scan();
    // Files may have come into a new folder before it was watched.
    if (this.#watchFolders()) after = await this.#scan();
    const changed = changedFiles(this.#snapshot, after).filter((path) => !isFirst || this.#snapshot.has(path));
    this.#snapshot = after;
    for (const path of changed) this.#changed.add(path);
    if (changed.length > 0) this.#wake();
  }

  async #scan(): Promise<Snapshot> {
    const files = new Set(this.#imported?.files);
    const folders: string[] = [];
    for (const path of [...this.#options.folders, ...this.#options.always]) {
      const isFolder = await stat(path).then(
        (found) => found.isDirectory(),
        () => false,
      );
      if (isFolder) folders.push(path);
      else files.add(path);
    }
    for (const folder of folders) {
      if (folders.length > mostFolders) break; // grows while it is walked
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        const path = join(folder, entry.name);
        if (entry.isDirectory() && !isSkipped(entry.name)) folders.push(path);
        else if (isCodeFile(entry.name)) files.add(path);
      }
    }
    if (folders.length > mostFolders && !this.#isCrowded) {
      this.#isCrowded = true;
      this.#options.system.log.warn(`There are more than ${mostFolders} folders here: not all are watched`);
    }
    this.#folders = new Set([...folders, ...[...files].map((path) => dirname(path))]);
    const found = await Promise.all([...files].map(async (path) => [path, await stampOf(path)] as const));
    return new Map(found.flatMap(([path, stamp]) => (stamp === undefined ? [] : [[path, stamp] as const])));
  }

  /** True when a folder is new. */
  #watchFolders(): boolean {
    if (this.#pollMs !== undefined || this.#isClosed) return false;
    for (const folder of this.#watchers.keys()) if (!this.#folders.has(folder)) this.#forget(folder);
    const news = [...this.#folders].filter((folder) => !this.#watchers.has(folder));
    return news.map((folder) => this.#watchFolder(folder)).includes(true);
  }

  #watchFolder(folder: string): boolean {
    if (this.#pollMs !== undefined) return false;
    try {
      const watcher = watch(folder, (event, name) => {
        // Its own name: it was moved or removed. One of that name that comes later is another folder.
        if (event === 'rename' && name === basename(folder)) this.#forget(folder);
        if (name === null || mayMatter(event, name) || this.#snapshot.has(join(folder, name))) this.#hint();
      });
      watcher.on('error', () => {
        this.#forget(folder);
        this.#hint();
      });
      this.#watchers.set(folder, watcher);
      return true;
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return false;
      this.#options.system.log.warn(
        { reason: String(error) },
        'The system watches no more folders: files are looked at every second instead',
      );
      this.#pollMs = pollFallbackMs;
      return false;
    }
  }

  #forget(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }
}

/** Code, or what may be a folder that comes or goes. */
function mayMatter(event: string, name: string): boolean {
  return isCodeFile(name) || (event === 'rename' && extname(name) === '' && !isSkipped(name));
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = () => settle();
  });
  return { promise, resolve };
}

async function stampOf(path: string): Promise<string | undefined> {
  return stat(path).then(
    ({ ino, mtimeMs, size }) => `${ino} ${mtimeMs} ${size}`,
    () => undefined,
  );
}

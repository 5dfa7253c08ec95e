/**
 * The port through which a schedule's state outlives a beat, and its plain forms: a file, and memory.
 * `leader.ts` keeps it on the broker instead. A *term* is the time in which this beat may send: it begins when the
 * state is read and ends when the state belongs to somebody else.
 */
import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CeleryError } from '../core/errors.ts';
import { isCode } from '../core/process-identity.ts';
import { CannotCreateFile, replaceFile } from '../core/replace-file.ts';
import type { System } from '../core/system.ts';
import { FileLock } from './file-lock.ts';
import { readSavedSchedule, type SavedEntry, type SavedSchedule, writeSchedule } from './saved-schedule.ts';

export interface StoreTerm {
  /** What was kept; undefined: nothing, every entry begins now. */
  readonly saved: SavedSchedule | undefined;
  /** Aborted when the state is no longer ours: nothing may be sent any more. */
  readonly ended: AbortSignal;
  /** How long a change waits to be saved, ms. */
  readonly saveDelayMs: number;
  /** After a save, this many times as long as it took nothing is saved. */
  readonly saveRestFactor: number;
  /** Runs missed by no more than this were missed by a hand-over, not by an absence: each of them still comes. */
  readonly graceMs: number;
  save(schedule: SavedSchedule): Promise<void>;
  close(): Promise<void>;
}

export interface ScheduleStore {
  /** Waits until this beat may send. @throws {FileInUse} when it never may. */
  open(signal: AbortSignal): Promise<StoreTerm>;
}

/** Nothing is kept: every start is a first one. Celery: `celery.beat:Scheduler`. */
export class MemoryStore implements ScheduleStore {
  async open(): Promise<StoreTerm> {
    return {
      saved: undefined,
      ended: new AbortController().signal,
      saveDelayMs: 1000,
      saveRestFactor: 0,
      graceMs: 0,
      save: async () => undefined,
      close: async () => undefined,
    };
  }
}

const saveDelayMs = 1000;
/** Writing takes at most a fiftieth of the time. */
const saveRestFactor = 50;
const largestFile = 64 * 2 ** 20;
const noFollow = constants.O_NOFOLLOW ?? 0;

/**
 * A JSON file, replaced as a whole: at any moment it is the old or the new one. Locked against a second beat. What is
 * no schedule of ours is renamed aside. A disk that is full or read-only stops the writing, not the beat.
 * Celery: `celery.beat:PersistentScheduler`.
 */
export class FileStore implements ScheduleStore {
  readonly path: string;
  readonly #system: System;

  constructor(path: string, system: System) {
    this.path = path;
    this.#system = system;
  }

  async open(): Promise<StoreTerm> {
    const lock = await this.#lock();
    const ended = new AbortController();
    const written = new WeakMap<SavedEntry, string>();
    try {
      return {
        saved: await this.#read(),
        ended: ended.signal,
        saveDelayMs,
        saveRestFactor,
        graceMs: 0,
        save: async (schedule) => {
          if (lock !== undefined && !(await lock.isOurs())) {
            ended.abort(
              new CeleryError(`The lock ${lock.path} was taken by another process; this beat stops sending.`),
            );
            return;
          }
          await replaceFile(this.path, writeSchedule(schedule, written));
        },
        close: async () => lock?.release(),
      };
    } catch (error) {
      await lock?.release();
      throw error;
    }
  }

  async #lock(): Promise<FileLock | undefined> {
    try {
      return await FileLock.acquire(`${this.path}.lock`, this.#system);
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ENOTDIR')) {
        throw new CannotCreateFile(
          `The schedule file ${this.path} cannot be made: there is no folder ${dirname(this.path)}. Make it, or name another file (--schedule).`,
          { cause: error },
        );
      }
      if (!isCode(error, 'EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT')) throw error;
      this.#system.log.error(
        { file: this.path, err: error },
        'The schedule file cannot be written: beat keeps its state in memory and cannot see a second beat',
      );
      return undefined;
    }
  }

  /** @throws when the file is there and cannot be opened. */
  async #read(): Promise<SavedSchedule | undefined> {
    const text = await readText(this.path);
    if (text === undefined) return undefined;
    const read = text === 'foreign' ? undefined : readSavedSchedule(text);
    if (read === undefined) {
      await this.#setAside();
      return undefined;
    }
    if (read.unread.length > 0) {
      const { unread } = read;
      this.#system.log.warn(
        { file: this.path, entries: unread },
        'Entries of the schedule file make no sense: they start anew',
      );
    }
    return read.schedule;
  }

  async #setAside(): Promise<void> {
    const aside = `${this.path}.unreadable-${new Date(this.#system.now()).toISOString().replace(/[:.]/g, '')}`;
    const log = this.#system.log;
    try {
      await rename(this.path, aside);
      log.warn({ file: this.path, aside }, 'The schedule file is none of ours: renamed aside, every entry starts anew');
    } catch (error) {
      log.error({ file: this.path, err: error }, 'The schedule file is none of ours and cannot be renamed');
    }
  }
}

/** What a schedule file holds, without taking its lock or touching it; undefined when there is none of ours. */
export async function peekAtFile(path: string): Promise<SavedSchedule | undefined> {
  const text = await readText(path);
  return text === undefined || text === 'foreign' ? undefined : readSavedSchedule(text)?.schedule;
}

/** Undefined: there is no file. `foreign`: something that no schedule file of ours can be. */
async function readText(path: string): Promise<string | 'foreign' | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | noFollow | (constants.O_NONBLOCK ?? 0));
    try {
      const stat = await file.stat();
      return stat.isFile() && stat.size <= largestFile ? await file.readFile('utf8') : 'foreign';
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    if (isCode(error, 'ELOOP', 'EISDIR', 'ENXIO')) return 'foreign';
    throw new CannotCreateFile(
      `The schedule file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
      { cause: error },
    );
  }
}

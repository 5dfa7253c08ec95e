/**
 * What worker, beat and the camera of events share as programs that run on: the options of a daemon, and the order of
 * its start. Workdir and umask, the user it is to be, its log file, the app, its pid file; settings (`workerPidfile` …)
 * stand in for options.
 */

import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Config } from '../app/index.ts';
import type { System } from '../core/system.ts';
import { detach, isDetached } from './detach.ts';
import { LogFile } from './log-file.ts';
import { expandNodeFormat, type NodeParts } from './node-format.ts';
import { createPidfile, type Pidfile } from './pidfile.ts';
import { becomeIdentity, type Identity, identityOf, parseUmask } from './privileges.ts';

export interface DaemonOptions {
  readonly detach?: boolean;
  readonly logfile?: string;
  readonly pidfile?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly umask?: string;
  readonly executable?: string;
  readonly workdir?: string;
}

/** @param detachFlags `-D, --detach` */
export function addDaemonOptions(command: Command, detachFlags: string): Command {
  const options = [
    new Option(detachFlags, 'run in the background'),
    new Option('-f, --logfile <file>', 'log into this file instead of stderr; SIGHUP opens it anew'),
    new Option('--pidfile <file>', 'write the process id here'),
    new Option('--uid <user>', 'run as this user, by name or number'),
    new Option('--gid <group>', 'run as this group, by name or number'),
    new Option('--umask <octal>', 'mode mask of new files, 022 say'),
    new Option('--executable <path>', 'with --detach: run by this Node instead of the one at hand'),
  ];
  for (const option of options) command.addOption(option.helpGroup('Daemon options:'));
  return command;
}

/** Programs with settings of their own for this: `worker_logfile`, `beat_logfile`, `events_logfile` … */
type Family = 'worker' | 'beat' | 'events';

function settingsFor(config: Config, family: Family): DaemonOptions {
  const given = { worker: workerSettings, beat: beatSettings, events: eventsSettings }[family](config);
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function workerSettings(config: Config): Record<string, string | undefined> {
  const { workerGid: gid, workerLogfile: logfile, workerPidfile: pidfile, workerUid: uid, workerUmask: umask } = config;
  return { gid, logfile, pidfile, uid, umask };
}

function beatSettings(config: Config): Record<string, string | undefined> {
  const { beatGid: gid, beatLogfile: logfile, beatPidfile: pidfile, beatUid: uid, beatUmask: umask } = config;
  return { gid, logfile, pidfile, uid, umask };
}

function eventsSettings(config: Config): Record<string, string | undefined> {
  const { eventsGid: gid, eventsLogfile: logfile, eventsPidfile: pidfile, eventsUid: uid, eventsUmask: umask } = config;
  return { gid, logfile, pidfile, uid, umask };
}

export class Daemon {
  readonly log = new LogFile();
  readonly #family: Family;
  readonly #options: DaemonOptions;
  readonly #node: NodeParts;
  readonly #isDetached: boolean;
  #pidfile: Pidfile | undefined;

  constructor(
    family: Family,
    options: DaemonOptions,
    node: NodeParts,
    env: Readonly<Record<string, string | undefined>>,
  ) {
    this.#family = family;
    this.#options = options;
    this.#node = node;
    this.#isDetached = isDetached(env);
  }

  /** `--detach` was given, and this is still the process at the terminal. */
  get leaves(): boolean {
    return this.#options.detach === true && !this.#isDetached;
  }

  /** Starts the same command in the background. @throws {CommandError} when that ends at once. */
  leave(): Promise<number> {
    const { executable, gid, logfile, uid, umask, workdir } = this.#options;
    if (umask !== undefined) process.umask(parseUmask(umask));
    const path = logfile === undefined ? undefined : resolve(workdir ?? '.', expandNodeFormat(logfile, this.#node));
    return detach(this.#family, path, { executable, identity: this.#identity({ uid, gid }), tellsWhenUp: true });
  }

  /** What the options ask for, before the app is loaded; in the folder it works in. */
  begin(): void {
    if (this.#isDetached) delete process.env.CELERY_TS_DETACHED; // its children are not detached by anyone
    this.#become(this.#options);
  }

  /** What the settings ask for, where no option did, and the pid file. @throws {CommandError} 73 */
  async enter(config: Config, system: System): Promise<void> {
    const settings = settingsFor(config, this.#family);
    this.#become(Object.fromEntries(Object.entries(settings).filter(([name]) => !(name in this.#options))));
    const pidfile = this.#options.pidfile ?? settings.pidfile;
    if (pidfile !== undefined) this.#pidfile = await createPidfile(expandNodeFormat(pidfile, this.#node), system);
  }

  async close(): Promise<void> {
    await this.#pidfile?.close();
    this.#pidfile = undefined;
    this.log.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #become({ gid, logfile, uid, umask }: DaemonOptions): void {
    if (umask !== undefined) process.umask(parseUmask(umask));
    becomeIdentity(this.#identity({ uid, gid }));
    if (logfile !== undefined) this.log.open(expandNodeFormat(logfile, this.#node));
  }

  #identity({ gid, uid }: { uid?: string | undefined; gid?: string | undefined }): Identity {
    return uid === undefined && gid === undefined ? {} : identityOf(uid, gid);
  }
}

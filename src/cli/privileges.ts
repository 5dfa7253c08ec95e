/** Who a program runs as: `--uid`, `--gid` and `--umask`, by name or number. */
import { execFileSync } from 'node:child_process';
import { CommandError, exitCodes } from './exit-codes.ts';

export interface Identity {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

/**
 * Users and groups as numbers. The group of a user comes with it.
 * @throws {CommandError} 78 for names that the system does not know.
 */
export function identityOf(uid: string | undefined, gid: string | undefined): Identity {
  const user = uid === undefined ? undefined : idOf('user', uid, '-u');
  const group = gid === undefined ? (uid === undefined ? undefined : idOf('user', uid, '-g')) : groupOf(gid);
  return { uid: user, gid: group };
}

/**
 * Becomes that user, for good. Does nothing when it is that user already.
 * @throws {CommandError} 77 when the system does not allow it.
 */
export function becomeIdentity({ gid, uid }: Identity): void {
  const { getgid, getuid, setgid, setgroups, setuid } = process;
  if (uid === undefined && gid === undefined) return;
  if (getuid === undefined || getgid === undefined || setuid === undefined || setgid === undefined) {
    throw new CommandError('--uid and --gid need a system with users by number.', exitCodes.configuration);
  }
  try {
    if (gid !== undefined && getgid.call(process) !== gid) {
      if (getuid.call(process) === 0) setgroups?.call(process, [gid]);
      setgid.call(process, gid);
    }
    if (uid !== undefined && getuid.call(process) !== uid) setuid.call(process, uid);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`Only root may run as another user (--uid, --gid): ${why}`, exitCodes.refused);
  }
}

/** `022` or `0o22`: octal. @throws {CommandError} 2 */
export function parseUmask(text: string): number {
  const digits = text.replace(/^0o/, '');
  if (!/^[0-7]{1,4}$/.test(digits) || Number.parseInt(digits, 8) > 0o777) {
    throw new CommandError(`--umask takes an octal number, 022 say, not '${text}'.`, exitCodes.usage);
  }
  return Number.parseInt(digits, 8);
}

function idOf(what: string, name: string, flag: '-u' | '-g'): number | undefined {
  if (/^\d+$/.test(name) && flag === '-u') return Number(name);
  try {
    return Number(ask('id', [flag, '--', name]).trim());
  } catch {
    if (/^\d+$/.test(name)) return undefined; // a user without an entry has no group of its own
    throw new CommandError(`There is no ${what} '${name}' here.`, exitCodes.configuration);
  }
}

function groupOf(name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  try {
    const entry = ask('getent', ['group', '--', name]);
    const id = Number(entry.split(':')[2]);
    if (Number.isInteger(id)) return id;
  } catch {
    // told below
  }
  throw new CommandError(`There is no group '${name}' here.`, exitCodes.configuration);
}

function ask(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

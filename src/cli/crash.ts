/**
 * Errors that are no answer of ours to anything: thrown where nobody expected it. One out of our code is a bug of ours: one
 * readable line, exit code 70, the stack for who asked for it. One out of the app's code that nobody catches ends the
 * program as Node ends any, with its stack and 1. Secrets are masked in all of them.
 */
import { writeSync } from 'node:fs';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { logText, printable } from '../core/log-text.ts';
import { redactText } from '../core/redact.ts';
import { exitCodes } from './exit-codes.ts';

/** `unknown`: nothing but Node's code and that of other packages is on the stack. */
export type CrashOrigin = 'ours' | 'the app' | 'unknown';

const report = "please report it with what --loglevel debug and 'celery-ts report' print";
const whose: Readonly<Record<CrashOrigin, string>> = {
  ours: `this is a bug of celery-ts: ${report}`,
  unknown: `this is a bug of celery-ts, or of what the app loads: ${report}`,
  'the app': 'thrown by code of the app; --loglevel debug shows where',
};
const home = fileURLToPath(new URL('..', import.meta.url));

/** The first line of a stack decides that is neither Node's nor of another package. @param ours our folder, with its `/` */
export function originOf(stack: string, ours = home): CrashOrigin {
  for (const [, place = ''] of stack.matchAll(stackLine)) {
    const path = place.startsWith('file:///') ? fileURLToPath(place) : place;
    if (path.startsWith(ours)) return 'ours';
    if (/^(?:[/\\]|[A-Za-z]:\\)/.test(path) && !path.includes(`${sep}node_modules${sep}`)) return 'the app';
  }
  return 'unknown';
}

const stackLine = /^ {4}at (?:async )?(?:.{0,500}\()?(.{1,500}?):\d+:\d+\)?$/gm;

/** The error as one line, with the stack if that is wanted, and how to end for it. */
export function describeCrash(
  error: unknown,
  withStack: boolean,
): { readonly text: string; readonly exitCode: number } {
  const origin = originOf(stackOf(error));
  const message = logText(redactText(error instanceof Error ? error.message : String(error)));
  const stack = withStack ? `${printable(redactText(stackOf(error)))}\n` : '';
  return {
    text: `Error: ${message} (${whose[origin]})\n${stack}`,
    exitCode: origin === 'the app' ? exitCodes.failed : exitCodes.bug,
  };
}

/** Looks at what nobody catches, before Node ends the program for it. Where somebody else listens, he decides. */
export function watchCrashes(given: { readonly withStack: boolean; readonly tell: (text: string) => void }): void {
  process.on('uncaughtExceptionMonitor', (error: unknown) => {
    if (process.listenerCount('uncaughtException') > 0) return;
    if (originOf(stackOf(error)) === 'the app') {
      mask(error);
      return;
    }
    const { exitCode, text } = describeCrash(error, given.withStack);
    try {
      writeSync(2, text);
    } catch {
      // nobody reads along
    }
    given.tell(text);
    process.exit(exitCode);
  });
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? '') : '';
}

function mask(error: unknown): void {
  if (!(error instanceof Error)) return;
  error.message = redactText(error.message);
  error.stack = redactText(error.stack ?? '');
}

/**
 * Exit codes, and which error leads to which (API.md section 7).
 */
import { AccessRefused, CeleryError, ImproperlyConfigured, OperationalError, QueueNotFound } from '../core/errors.ts';
import { CannotCreateFile } from '../core/replace-file.ts';

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  /** No answer from any worker, or the broker cannot be reached. */
  unavailable: 69,
  /** A bug of ours. */
  bug: 70,
  /** A pid, log or state file cannot be created, or somebody else holds it. */
  cannotCreate: 73,
  /** The broker or the backend refused us. */
  refused: 77,
  /** The settings, the app or the topology cannot be worked with. */
  configuration: 78,
} as const;

/** An error that knows its exit code: for what no error class stands for. */
export class CommandError extends CeleryError {
  static override readonly name: string = 'CommandError';
  override readonly code: string = 'CELERY_COMMAND';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = exitCodes.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function exitCodeOf(error: CeleryError): number {
  if (error instanceof CommandError) return error.exitCode;
  if (error instanceof CannotCreateFile) return exitCodes.cannotCreate;
  if (error instanceof AccessRefused) return exitCodes.refused;
  if (error instanceof OperationalError) return exitCodes.unavailable;
  if (error instanceof ImproperlyConfigured || error instanceof QueueNotFound) return exitCodes.configuration;
  return exitCodes.failed;
}

/**
 * Errors on the wire (celery-protocol.md section 10, API.md section 12).
 */
import type { Codec } from './codec.ts';

/** An error as it travels: the `result` of FAILURE, RETRY and REVOKED. */
export interface ExceptionMap {
  readonly exc_type: string;
  readonly exc_message: readonly unknown[];
  readonly exc_module: string;
}

/** Makes an error of `exc_message`; what it returns is given `excType`, `excModule` and `excMessage` if it lacks them. */
export type ErrorFactory = (excMessage: readonly unknown[]) => Error;

/** The classes that a failure from the wire may become. Nothing else is ever looked up by name. */
export interface ErrorRegistry {
  register(excModule: string, excType: string, make: ErrorFactory): void;
  find(excModule: string, excType: string): ErrorFactory | undefined;
}

export declare function createErrorRegistry(): ErrorRegistry;
/** What was thrown, as an Error: errors pass, anything else is wrapped in a `NonErrorThrown`. */
export declare function toError(thrown: unknown): Error;
/** The wire form of anything thrown. Parts of `exc_message` that cannot be encoded become their repr. Never throws. */
export declare function toExceptionMap(thrown: unknown, codec?: Codec): ExceptionMap;
/** The error that a map from the wire stands for; `RemoteTaskError` when no class is known. Never throws. */
export declare function fromExceptionMap(map: unknown, traceback?: string, registry?: ErrorRegistry): Error;
/** The text for `traceback`: cleaned stack, causes first as Python prints them. At most 64 KiB. */
export declare function tracebackText(thrown: unknown): string;
/** `ValueError('bad value')`: the text for events and logs. */
export declare function exceptionRepr(thrown: unknown): string;

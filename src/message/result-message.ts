/**
 * Result messages and documents (celery-protocol.md sections 10 to 12).
 */

/** A result as it will be stored: encoded where the body ran, so that the main process only passes it on. */
export interface EncodedResult {
  readonly taskId: string;
  readonly state: string;
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly body: Uint8Array;
}

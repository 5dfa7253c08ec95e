/**
 * The one redactor: what may be a secret is masked before it is logged, shown or put into an error.
 * Passwords in URLs inside any text, values whose key sounds like a secret, arguments of a command line; nested.
 */

/** What stands where a secret stood. */
export const mask = '********';

/** A text with the passwords of its URLs masked. */
export function redactText(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*):([^\s@]*)@/gi, `$1:${mask}@`);
}

/** The wire, pure: what other rooms may use. */
export type { EncodedResult } from './result-message.ts';

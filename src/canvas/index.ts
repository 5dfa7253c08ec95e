/** Calls as values: what other rooms may use. */
export { decodeOptions, encodeOptions, mergeOptions } from './options.ts';
export {
  createSignature,
  Signature,
  type SignatureHost,
  type SignatureMap,
  type SignatureParts,
  toSignatureMap,
} from './signature.ts';
export type { SignatureOptions } from './signature-options.ts';

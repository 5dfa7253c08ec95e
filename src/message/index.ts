/** The wire, pure: what other rooms may use. */
export type { Codec, CodecLimits, CodecOptions, EncodedValue, SigningOptions } from './codec.ts';
export { createCodec } from './codec.ts';
export type { Compression } from './compression.ts';
export type { ControlReply, ControlRequest, Hello, OutgoingControlReply } from './control-message.ts';
export {
  decodeControlReply,
  decodeControlRequest,
  decodeHelloArguments,
  decodeHelloReply,
  encodeControlReply,
  encodeControlRequest,
  encodeHelloArguments,
  encodeHelloReply,
  maxControlBytes,
} from './control-message.ts';
export type { DecodedEvents, EventRecord } from './event-message.ts';
export { decodeEvents, encodeEvent, encodeEvents, eventRoutingKey, eventToWire } from './event-message.ts';
export type { ErrorRegistry, ExceptionMap } from './exception.ts';
export {
  createErrorRegistry,
  exceptionRepr,
  fromExceptionMap,
  toError,
  toExceptionMap,
  tracebackText,
} from './exception.ts';
export { formatIsoInstant, parseIsoInstant } from './iso-date.ts';
export type { ErrorFactory } from './known-errors.ts';
export { NotPrepared, prepared } from './optional-package.ts';
export { pythonRepr, pythonTupleRepr } from './python-repr.ts';
export type {
  DecodedResult,
  DecodeResultOptions,
  EncodedResult,
  EncodeResultOptions,
  ExtendedResult,
  OutgoingResult,
} from './result-message.ts';
export { decodeResult, encodeResult } from './result-message.ts';
export type { JsonType } from './serialization/json.ts';
export type { RawValue, Serializer } from './serialization/serializer.ts';
export {
  dateValue,
  decimalValue,
  FloatValue,
  TypedValue,
  timeValue,
  uuidValue,
} from './serialization/typed-values.ts';
export { checkKeyType, readCertificate, type SignerCertificate } from './signing/certificate.ts';
export { customHeaders, toOutgoing, withoutBrokerHeaders } from './task-again.ts';
export type { Embed, OutgoingTask, SignatureMap, TaskBody, TaskMessage } from './task-message.ts';
export { crashesHeader, decodeTask, decodeTaskBody, encodeTask, protocolHeaders } from './task-message.ts';

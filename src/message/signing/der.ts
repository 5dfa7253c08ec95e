/**
 * Just enough DER to find the issuer of an X.509 certificate (RFC 5280, section 4.1), value by value: Celery calls a
 * certificate by those values, and Node shows them only escaped, in a text of its own.
 */
import { Buffer } from 'node:buffer';

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Where the next one begins. */
  readonly end: number;
}

const tags = { sequence: 0x30, version: 0xa0 } as const;

/** The values of the issuer's name, in their order: `['US', 'Example', 'Root CA']`. @throws {RangeError} on bytes that are no certificate. */
export function issuerValues(certificate: Uint8Array): string[] {
  const [tbs] = children(only(certificate, tags.sequence));
  if (tbs === undefined) throw new RangeError('the certificate is empty');
  const fields = children(only(tbs, tags.sequence), 5);
  const afterVersion = fields[0]?.tag === tags.version ? 1 : 0;
  const issuer = fields[afterVersion + 2]; // serial number, algorithm, issuer
  if (issuer?.tag !== tags.sequence) throw new RangeError('the certificate has no issuer');
  return children(issuer)
    .flatMap((names) => children(names))
    .map((pair) => textOf(children(pair)[1]));
}

function only(bytes: Uint8Array | Element, tag: number): Element {
  const element = bytes instanceof Uint8Array ? read(bytes, 0) : bytes;
  if (element.tag !== tag) throw new RangeError('the bytes are no certificate');
  return element;
}

function children({ content }: Element, most = Number.POSITIVE_INFINITY): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < content.length && found.length < most; ) {
    const child = read(content, at);
    found.push(child);
    at = child.end;
  }
  return found;
}

function read(bytes: Uint8Array, at: number): Element {
  const tag = byteAt(bytes, at);
  let length = byteAt(bytes, at + 1);
  let start = at + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 4) throw new RangeError('a length in the certificate cannot be read');
    length = 0;
    for (let index = 0; index < count; index += 1) length = length * 256 + byteAt(bytes, start + index);
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) throw new RangeError('the certificate ends too early');
  return { tag, content: bytes.subarray(start, end), end };
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new RangeError('the certificate ends too early');
  return byte;
}

/** BMPString and UniversalString are wide; every other kind is read as UTF-8, as Python does. */
function textOf(element: Element | undefined): string {
  if (element === undefined) return '';
  const bytes = Buffer.from(element.content);
  if (element.tag === 0x1e && bytes.length % 2 === 0) return bytes.swap16().toString('utf16le');
  if (element.tag === 0x1c && bytes.length % 4 === 0) {
    const points = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32BE(index * 4));
    return String.fromCodePoint(...points);
  }
  return bytes.toString('utf8');
}

/** Messages signed by the serializer `auth`: who is believed, and what is seen when somebody changes them. */
import { createPrivateKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../../src/core/envelope.ts';
import { ContentDisallowed, ImproperlyConfigured, SecurityError } from '../../../src/core/errors.ts';
import {
  type Codec,
  createCodec,
  decodeTask,
  decodeTaskBody,
  encodeTask,
  readCertificate,
  type SigningOptions,
} from '../../../src/message/index.ts';
import { type Identity, makeCertificate } from '../../support/certificates.ts';
import { aTask } from './builders.ts';

const dayMs = 24 * 3600 * 1000;
const alice = makeCertificate({ subject: { C: 'DE', O: 'Example', CN: 'alice' } });
const bob = makeCertificate({ subject: 'bob' });
const eve = makeCertificate({ subject: 'eve', keyType: 'ed25519' });

interface Given extends Omit<Partial<SigningOptions>, 'keys'> {
  readonly trusted?: readonly Identity[];
  readonly digest?: string;
  readonly now?: () => number;
}

function signingCodec(me: Identity, { trusted = [alice, bob], digest, now = Date.now, ...more }: Given = {}): Codec {
  const codec = createCodec({ accept: ['auth'] });
  codec.enableSigning({
    keys: {
      key: createPrivateKey(me.key),
      certificate: readCertificate(me.cert),
      trusted: trusted.map(({ cert }) => readCertificate(cert)),
      digest,
      now,
    },
    ...more,
  });
  return codec;
}

function read(codec: Codec, { body, contentEncoding, contentType }: ReturnType<Codec['serialize']>): unknown {
  return codec.deserialize(body, contentType, contentEncoding);
}

/** A byte of base64 text, changed into another letter of base64. */
function flipped(body: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(body);
  copy[at] = copy[at] === 0x41 ? 0x42 : 0x41;
  return copy;
}

describe('a signed body', () => {
  it('is read by whoever trusts its signer', () => {
    const value = [[1, 'ü', 2n ** 70n, new Date(0)], { a: null }, {}];
    const encoded = signingCodec(alice).serialize(value, 'auth');
    expect(encoded).toMatchObject({ contentType: 'application/data', contentEncoding: 'utf-8' });
    expect(read(signingCodec(bob), encoded)).toEqual(value);
  });

  it('has the five fields of Celery in base64, signer and signature once more', () => {
    const { body } = signingCodec(alice).serialize({ a: 1 }, 'auth');
    const fields = Buffer.from(Buffer.from(body).toString(), 'base64').toString('latin1').split('\x00\x01');
    expect(fields).toHaveLength(5);
    expect(Buffer.from(fields[0] ?? '', 'base64').toString()).toMatch(/^DE Example alice \d+$/);
    expect(Buffer.from(fields[1] ?? '', 'base64')).toHaveLength(256);
    expect(fields.slice(2)).toEqual(['application/json', 'utf-8', '{"a":1}']);
  });

  it.each(['sha384', 'SHA512', 'sha3_256'])('is signed with the digest %s when both sides say so', (digest) => {
    const encoded = signingCodec(alice, { digest }).serialize(1, 'auth');
    expect(read(signingCodec(bob, { digest }), encoded)).toBe(1);
    expect(() => read(signingCodec(bob), encoded)).toThrow(/^Bad signature by .*securityDigest than 'sha256'/);
  });

  it('may be signed by an Ed25519 key', () => {
    const encoded = signingCodec(eve).serialize({ a: 1 }, 'auth');
    expect(read(signingCodec(bob, { trusted: [eve] }), encoded)).toEqual({ a: 1 });
  });

  it('is refused whichever of its bytes is changed', () => {
    const encoded = signingCodec(eve).serialize([[1], {}, {}], 'auth');
    const reader = signingCodec(bob, { trusted: [eve] });
    const differing: unknown[] = [];
    for (let at = 0; at < encoded.body.length; at += 1) {
      try {
        differing.push(read(reader, { ...encoded, body: flipped(encoded.body, at) }));
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
    expect(differing).toEqual([]);
  });

  it('is refused when nobody knows its signer, by name', () => {
    const encoded = signingCodec(eve).serialize(1, 'auth');
    expect(() => read(signingCodec(bob), encoded)).toThrow(
      /^Unknown certificate 'eve \d+': nobody of that name is trusted\. Put .* into securityCertStore\.$/,
    );
  });

  it('is refused when another key signed in the name of its signer', () => {
    const forged = makeCertificate({ subject: 'eve', serial: Buffer.from('1122334455667788', 'hex') });
    const real = makeCertificate({ subject: 'eve', serial: Buffer.from('1122334455667788', 'hex') });
    const encoded = signingCodec(forged).serialize(1, 'auth');
    expect(() => read(signingCodec(bob, { trusted: [real] }), encoded)).toThrow(/^Bad signature by 'eve \d+'/);
  });

  it('is refused when the certificate of its signer has expired, or does not hold yet', () => {
    const encoded = signingCodec(alice).serialize(1, 'auth');
    const later = signingCodec(bob, { now: () => Date.now() + 31 * dayMs });
    const earlier = signingCodec(bob, { now: () => Date.now() - 2 * dayMs });
    expect(() => read(later, encoded)).toThrow(/^Expired certificate 'DE Example alice \d+': it held until 20/);
    expect(() => read(earlier, encoded)).toThrow(/holds from 20.* on, and not yet/);
  });

  it('is read during a change of keys from the old and from the new, and no longer from one that was taken away', () => {
    const next = makeCertificate({ subject: 'alice again', keyType: 'ed25519' });
    const old = signingCodec(alice).serialize(1, 'auth');
    const fresh = signingCodec(next).serialize(2, 'auth');
    const during = signingCodec(bob, { trusted: [alice, next] });
    expect([read(during, old), read(during, fresh)]).toEqual([1, 2]);
    const after = signingCodec(bob, { trusted: [next] });
    expect(read(after, fresh)).toBe(2);
    expect(() => read(after, old)).toThrow(SecurityError);
  });

  it.each([
    ['nothing', ''],
    ['JSON', '[[1],{},{}]'],
    ['base64 of something else', Buffer.from('[[1],{},{}]').toString('base64')],
    ['too few fields', Buffer.from('YQ==\x00\x01YQ==\x00\x01application/json').toString('base64')],
    ['fields that are no base64', Buffer.from('a\x00\x01b\x00\x01c\x00\x01d\x00\x01e').toString('base64')],
  ])('is asked for where there is %s', (_what, text) => {
    const body = Buffer.from(text);
    const reader = signingCodec(bob);
    expect(() => read(reader, { contentType: 'application/data', contentEncoding: 'utf-8', body })).toThrow(
      /^The message is not signed: .*taskSerializer 'auth' and app\.setupSecurity/,
    );
  });

  it('is never pickle, and only what is allowed where somebody says so', () => {
    const encoded = signingCodec(alice, { serializer: 'json' }).serialize({ a: 1 }, 'auth');
    expect(() => read(signingCodec(bob, { allowed: ['yaml'] }), encoded)).toThrow(ContentDisallowed);
    const text = Buffer.from(Buffer.from(encoded.body).toString(), 'base64').toString('latin1');
    const pickled = Buffer.from(text.replace('application/json', 'application/x-python-serialize'), 'latin1');
    const body = Buffer.from(pickled.toString('base64'));
    expect(() => read(signingCodec(bob), { ...encoded, body })).toThrow(/python-serialize.* is refused/);
  });

  it('is all that is read: the same value in JSON is refused', () => {
    const encoded = signingCodec(alice).serialize(1, 'json');
    expect(() => read(signingCodec(bob), encoded)).toThrow(ContentDisallowed);
  });
});

describe('the signature of the headers', () => {
  const sender = signingCodec(alice);
  const task = aTask({ serializer: 'auth', eta: 1_800_000_000_000, timeLimit: 2.5, retries: 1 });
  const message = encodeTask(task, sender);
  const strict = signingCodec(bob, { headers: 'require' });

  it('is there and valid, for a message that is sent again too', () => {
    expect(decodeTask(message, strict)).toMatchObject({ id: task.id, task: 'tasks.add' });
    const { args } = decodeTaskBody(message.headers, message.properties, message.body, strict);
    expect(args).toEqual([1, 1]);
    const again = encodeTask({ ...task, headers: message.headers, crashes: 1 }, signingCodec(bob));
    expect(decodeTask(again, strict).crashes).toBe(1);
  });

  it.each([
    ['task', 'tasks.drop_tables'],
    ['id', 'another-id'],
    ['eta', null],
    ['expires', '2030-01-01T00:00:00+00:00'],
    ['retries', 0],
    ['timelimit', [null, null]],
    ['root_id', 'x'],
    ['parent_id', 'x'],
    ['group', 'x'],
    ['ignore_result', true],
    ['replaced_task_nesting', 3],
    ['celery-ts-crashes', 2],
    ['compression', 'application/x-gzip'],
  ])('shows that the header %s was changed', (header, value) => {
    const changed: Envelope = { ...message, headers: { ...message.headers, [header]: value } };
    expect(() => decodeTask(changed, strict)).toThrow(/^Bad signature by 'DE Example alice/);
  });

  it.each([
    ['replyTo', 'my-queue'],
    ['correlationId', 'x'],
    ['contentType', 'application/json'],
    ['contentEncoding', 'utf-16'],
  ])('shows that the property %s was changed', (property, value) => {
    const changed: Envelope = { ...message, properties: { ...message.properties, [property]: value } };
    expect(() => decodeTask(changed, strict)).toThrow(/^Bad signature/);
  });

  it('shows that the body of another message was put in', () => {
    const other = encodeTask(aTask({ serializer: 'auth', args: [2, 2] }), sender);
    expect(() => decodeTask({ ...message, body: other.body }, strict)).toThrow(/^Bad signature/);
  });

  it('is refused whichever of its bytes is changed', () => {
    const ours = encodeTask(aTask({ serializer: 'auth' }), signingCodec(eve));
    const reader = signingCodec(bob, { trusted: [eve], headers: 'require' });
    const text = String(ours.headers['celery-ts-signature']);
    const accepted: number[] = [];
    for (let at = 0; at < text.length; at += 1) {
      const changed = { ...ours.headers, 'celery-ts-signature': flipped(Buffer.from(text), at).toString() };
      try {
        decodeTask({ ...ours, headers: changed }, reader);
        accepted.push(at);
      } catch (error) {
        expect(error).toBeInstanceOf(SecurityError);
      }
    }
    expect(accepted).toEqual([]);
  });

  it('may be asked for: without it a message is refused', () => {
    const { 'celery-ts-signature': _taken, ...headers } = message.headers;
    expect(() => decodeTask({ ...message, headers }, strict)).toThrow(/securitySignedHeaders is 'require' here/);
    expect(decodeTask({ ...message, headers }, signingCodec(bob)).id).toBe(task.id);
  });

  it('is left alone where it is not asked for: a Python worker copies it when it retries', () => {
    const copied: Envelope = { ...message, headers: { ...message.headers, retries: 2 } };
    expect(decodeTask(copied, signingCodec(bob)).retries).toBe(2);
  });

  it('is not made when it is switched off', () => {
    const { headers } = encodeTask(task, signingCodec(alice, { headers: 'off' }));
    expect(Object.keys(headers)).not.toContain('celery-ts-signature');
  });

  it('ends a replay outside the window, which begins when the message was signed or its eta came', () => {
    const soon = encodeTask(aTask({ serializer: 'auth' }), sender);
    const eta = Date.now() + dayMs;
    const tomorrow = encodeTask(aTask({ serializer: 'auth', eta }), sender);
    const at = (ms: number): Codec =>
      signingCodec(bob, { headers: 'require', maxAgeMs: 60_000, now: () => Date.now() + ms });
    expect(decodeTask(soon, at(50_000)).id).toBe(task.id);
    expect(() => decodeTask(soon, at(70_000))).toThrow(
      /was signed 70 s ago; older than 60 s is refused \(securityMaxAge\)/,
    );
    expect(decodeTask(tomorrow, at(dayMs + 50_000)).id).toBe(task.id);
    expect(() => decodeTask(tomorrow, at(dayMs + 70_000))).toThrow(/securityMaxAge/);
  });
});

describe('keys', () => {
  it('are refused when key and certificate are not of one pair', () => {
    expect(() => signingCodec({ ...alice, key: bob.key })).toThrow(
      new ImproperlyConfigured('securityKey is not the private key of the certificate in securityCertificate.'),
    );
  });

  it('are refused with a digest that nobody knows', () => {
    expect(() => signingCodec(alice, { digest: 'sha7' })).toThrow(/There is no digest 'sha7' \(securityDigest\)/);
  });

  it('are RSA or Ed25519', () => {
    const { cert } = makeCertificate({ subject: 'curve', keyType: 'ec' });
    expect(() => readCertificate(cert)).toThrow(/type rsa \(Celery's only one\) or ed25519; this one is ec/);
    expect(() => readCertificate('hello')).toThrow(SecurityError);
  });
});

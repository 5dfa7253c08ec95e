import { describe, expect, it } from 'vitest';
import { ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured } from '../../../src/core/errors.ts';
import { createCodec, type Serializer } from '../../../src/message/index.ts';
import { OptionalPackage } from '../../../src/message/optional-package.ts';

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

describe('what is accepted', () => {
  it('is JSON by default, and nothing else', () => {
    const codec = createCodec();
    expect([...codec.accept]).toEqual(['application/json']);
    expect(codec.deserialize(json([1]), 'application/json', 'utf-8')).toEqual([1]);
    for (const type of ['application/x-yaml', 'application/x-msgpack', 'text/plain', 'application/xml', '']) {
      expect(() => codec.deserialize(json([1]), type, 'utf-8')).toThrow(ContentDisallowed);
    }
  });

  it('may be named by serializer or by content type, once for all or for one call', () => {
    const codec = createCodec({ accept: ['msgpack', 'application/json'] });
    const { body, contentType, contentEncoding } = codec.serialize({ a: 1 }, 'msgpack');
    expect([contentType, contentEncoding]).toEqual(['application/x-msgpack', 'binary']);
    expect(codec.deserialize(body, contentType, contentEncoding)).toEqual({ a: 1 });
    expect(() => codec.deserialize(body, contentType, contentEncoding, codec.contentTypes(['json']))).toThrow(
      /'application\/x-msgpack' is refused; accepted: application\/json/,
    );
  });

  it('without a content type are the bytes themselves', () => {
    const codec = createCodec();
    expect(codec.deserialize(Buffer.from('text'), undefined, undefined)).toBe('text');
    expect(codec.deserialize(Uint8Array.of(1, 255), 'application/data', 'binary')).toEqual(Uint8Array.of(1, 255));
  });

  it('never includes pickle, whoever asks', () => {
    const codec = createCodec({ accept: ['json', 'application/x-python-serialize'] });
    const accept = new Set(['application/x-python-serialize']);
    const body = Buffer.from('gASVVgAAAAAAAAAoSwE=', 'base64');
    expect(() => codec.deserialize(body, 'application/x-python-serialize', 'binary', accept)).toThrow(
      ContentDisallowed,
    );
    expect(() => codec.deserialize(body, 'application/x-python-serialize', 'binary')).toThrow(
      /pickle is refused.*Send json/,
    );
    expect(() => codec.contentTypes(['json', 'pickle'])).toThrow(ImproperlyConfigured);
    expect(() => codec.serialize(1, 'pickle')).toThrow(EncodeError);
  });

  it('of an unknown name is a configuration error that lists what there is', async () => {
    const codec = createCodec();
    expect(() => codec.contentTypes(['jsn'])).toThrow(/no serializer 'jsn'; known: json, yaml, msgpack/);
    await expect(codec.prepare(['rar'])).rejects.toThrow(ImproperlyConfigured);
    await expect(codec.prepare(['json', 'msgpack', 'gzip', 'application/vnd.unknown'])).resolves.toBeUndefined();
  });
});

describe('text', () => {
  const codec = createCodec({ accept: ['json', 'text/plain'] });

  it.each(['utf-8', 'UTF-8', 'utf8', 'binary', undefined])('in %s is UTF-8, and refused when it is not', (charset) => {
    expect(codec.deserialize(Buffer.from('["é"]'), 'application/json', charset)).toEqual(['é']);
    expect(() => codec.deserialize(Buffer.from('["\xe9"]', 'latin1'), 'application/json', charset)).toThrow(
      DecodeError,
    );
  });

  it('in another charset is read in that', () => {
    expect(codec.deserialize(Buffer.from('["\xe9"]', 'latin1'), 'application/json', 'latin-1')).toEqual(['é']);
    expect(codec.deserialize(Buffer.from('["\u20ac"]', 'utf16le'), 'application/json', 'utf-16le')).toEqual(['€']);
    expect(codec.deserialize(Buffer.from('[1]'), 'application/json', 'us-ascii')).toEqual([1]);
    expect(() => codec.deserialize(Buffer.from('["é"]'), 'application/json', 'us-ascii')).toThrow(DecodeError);
    expect(() => codec.deserialize(Buffer.from('[1]'), 'application/json', 'klingon')).toThrow(
      /'klingon' is not a known/,
    );
  });

  it('alone travels as text/plain, bytes alone as application/data', () => {
    expect(codec.serialize('héllo', 'text')).toMatchObject({ contentType: 'text/plain', contentEncoding: 'utf-8' });
    expect(codec.serialize(Uint8Array.of(255), 'raw')).toMatchObject({
      contentType: 'application/data',
      contentEncoding: 'binary',
    });
    expect(codec.serialize('x', 'raw')).toMatchObject({ contentType: 'application/data', contentEncoding: 'utf-8' });
    expect(codec.deserialize(Buffer.from('héllo'), 'text/plain', 'utf-8')).toBe('héllo');
    expect(() => codec.serialize({}, 'text')).toThrow(EncodeError);
    expect(() => codec.serialize({}, 'raw')).toThrow(EncodeError);
  });
});

describe('what users register', () => {
  const csv: Serializer = {
    name: 'csv',
    contentType: 'text/csv',
    contentEncoding: 'utf-8',
    encode: (value) => (value as unknown[]).join(','),
    decode: (payload) => (payload as string).split(','),
  };

  it('is used by name and by content type, and accepted when named so', () => {
    const codec = createCodec({ accept: ['csv'] });
    codec.registerSerializer(csv);
    const encoded = codec.serialize(['a', 'b'], 'csv');
    expect(encoded).toMatchObject({ contentType: 'text/csv', contentEncoding: 'utf-8' });
    expect(codec.deserialize(encoded.body, 'text/csv', 'utf-8')).toEqual(['a', 'b']);
    expect([...codec.contentTypes(['csv'])]).toEqual(['text/csv']);
  });

  it('is not known to another codec', () => {
    createCodec().registerSerializer(csv);
    expect(() => createCodec().serialize([], 'csv')).toThrow(EncodeError);
  });

  it('may throw what it likes: it becomes an EncodeError or a DecodeError', () => {
    const codec = createCodec({ accept: ['csv'] });
    codec.registerSerializer({
      ...csv,
      encode: () => {
        throw new TypeError('boom');
      },
      decode: () => {
        throw 'text';
      },
    });
    expect(() => codec.serialize([], 'csv')).toThrow(/cannot be written as csv: boom/);
    expect(() => codec.serialize([], 'csv')).toThrow(EncodeError);
    expect(() => codec.deserialize(Buffer.from('a'), 'text/csv', 'utf-8')).toThrow(DecodeError);
  });

  it('of a compression is used by its names and its content type', () => {
    const codec = createCodec();
    codec.registerCompression({
      contentType: 'application/x-reverse',
      aliases: ['reverse'],
      compress: (body) => Uint8Array.from(body).reverse(),
      decompress: (body) => Uint8Array.from(body).reverse(),
    });
    expect(codec.compress(Uint8Array.of(1, 2), 'reverse')).toEqual({
      contentType: 'application/x-reverse',
      body: Uint8Array.of(2, 1),
    });
    expect(codec.decompress(Uint8Array.of(2, 1), 'application/x-reverse')).toEqual(Uint8Array.of(1, 2));
  });
});

describe('an optional package', () => {
  it('that is missing is named with the command that installs it', async () => {
    const missing = new OptionalPackage(
      'no-such-package',
      "The serializer 'x'",
      () => import('no-such-package' as string),
    );
    await expect(missing.prepare()).rejects.toThrow(
      "The serializer 'x' needs the package 'no-such-package', which could not be loaded: npm install no-such-package",
    );
    await expect(missing.prepare()).rejects.toThrow(ImproperlyConfigured);
    expect(() => missing.get()).toThrow(ImproperlyConfigured);
  });

  it('is needed only once it is used, and asked for in time', () => {
    const codec = createCodec({ accept: ['json', 'yaml'] });
    expect(() => codec.deserialize(Buffer.from('- 1'), 'application/x-yaml', 'utf-8')).toThrow(
      /needs the package 'yaml', which is not loaded: npm install yaml/,
    );
    expect(() => codec.deserialize(Buffer.from('- 1'), 'application/x-yaml', 'utf-8')).toThrow(DecodeError);
    expect(() => codec.compress(Buffer.from('x'), 'xz')).toThrow(/package '@napi-rs\/lzma', which is not loaded/);
    expect(() => codec.compress(Buffer.from('x'), 'xz')).toThrow(EncodeError);
    expect(() => codec.decompress(Buffer.from('x'), 'application/x-lzma')).toThrow(DecodeError);
  });

  it('is loaded for whoever receives, since the sender chooses; what is missing stops nobody', async () => {
    const codec = createCodec();
    codec.registerCompression({
      contentType: 'application/x-rare',
      aliases: ['rare'],
      compress: (body) => body,
      decompress: (body) => body,
      prepare: () => Promise.reject(new ImproperlyConfigured('not installed')),
    });
    await codec.prepareToReceive();
    const { body, contentType } = codec.compress(Buffer.from('x'), 'xz');
    expect(Buffer.from(codec.decompress(body, contentType)).toString()).toBe('x');
    await expect(codec.prepare(['rare'])).rejects.toThrow('not installed');
  });
});

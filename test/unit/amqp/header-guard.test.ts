import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameWriter } from '../../../src/amqp/frames.ts';
import { HeaderGuard, oversizeOf } from '../../../src/amqp/header-guard.ts';

const require = createRequire(import.meta.url);
const lib = join(dirname(require.resolve('amqplib')), 'lib');
const { parseFrame, decodeFrame } = require(join(lib, 'frame.js'));

function aMessage(headers: Record<string, unknown>, body = 'body'): Buffer {
  const writer = new FrameWriter();
  writer.publish(
    1,
    {
      exchange: 'e',
      routingKey: 'k',
      confirm: true,
      mandatory: false,
      envelope: {
        properties: { contentType: 'application/json', contentEncoding: 'utf-8', deliveryMode: 2 },
        headers,
        body: Buffer.from(body),
      },
    },
    4096,
  );
  return Buffer.concat(writer.take());
}

function headersIn(bytes: Buffer): Record<string, unknown> {
  const method = parseFrame(bytes, 0);
  const header = parseFrame(method.rest, 0);
  return decodeFrame(header).fields.headers;
}

/** Header bytes with one tag replaced. */
function withTag(bytes: Buffer, name: string, tag: string): Buffer {
  const at = bytes.indexOf(Buffer.concat([Buffer.from([name.length]), Buffer.from(name)]));
  bytes[at + 1 + name.length] = tag.charCodeAt(0);
  return bytes;
}

/** A table nested `depth` deep, whose innermost field is `end: true`. */
function nested(depth: number): Buffer {
  let table = Buffer.concat([Buffer.from([3]), Buffer.from('end'), Buffer.from('t'), Buffer.from([1])]);
  for (let level = 0; level < depth; level += 1) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(table.length);
    table = Buffer.concat([Buffer.from([1]), Buffer.from('n'), Buffer.from('F'), length, table]);
  }
  const length = Buffer.alloc(4);
  length.writeUInt32BE(table.length);
  const payload = Buffer.concat([Buffer.from([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0]), length, table]);
  const head = Buffer.alloc(7);
  head[0] = 2;
  head.writeUInt16BE(1, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

describe('the header guard', () => {
  it("makes Python's 64-bit integers digestible, wherever they stand", () => {
    const bytes = withTag(withTag(aMessage({ a: 2n ** 40n, in: { b: -(2n ** 40n) } }), 'a', 'L'), 'b', 'L');
    expect(() => headersIn(Buffer.from(bytes))).toThrow(/"L"/); // what happens without it
    const out = new HeaderGuard().filter(bytes);
    expect(headersIn(out ?? Buffer.alloc(0))).toEqual({ a: 2 ** 40, in: { b: -(2 ** 40) } });
  });

  it('turns what is nested too deep for the stack into bytes', () => {
    const out = new HeaderGuard().filter(nested(20_000));
    const fields = decodeFrame(parseFrame(out, 0)).fields;
    let depth = 0;
    let value = fields.headers;
    for (; !Buffer.isBuffer(value); value = value.n) depth += 1;
    expect(depth).toBe(64);
    expect(decodeFrame(parseFrame(new HeaderGuard().filter(nested(10)), 0)).fields.headers).toHaveProperty(
      'n.n.n.n.n.n.n.n.n.n.end',
      true,
    );
  });

  it('lets no field set a prototype', () => {
    const headers = JSON.parse('{"__proto__": {"polluted": 1}, "in": {"__proto__": {"polluted": 1}}}');
    const decoded = headersIn(new HeaderGuard().filter(aMessage(headers)) ?? Buffer.alloc(0));
    expect(decoded).not.toHaveProperty('polluted');
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Object.keys(decoded)).toEqual(['__Proto__', 'in']);
    expect(Object.getPrototypeOf(decoded.in)).toBe(Object.prototype);
  });

  it('hides what has a type nobody knows', () => {
    const bytes = withTag(aMessage({ good: 1, bad: 'secret', after: 2 }), 'bad', 'Q');
    expect(headersIn(new HeaderGuard().filter(bytes) ?? Buffer.alloc(0))).toMatchObject({ good: 1 });
  });

  it('passes everything on unchanged and complete, however the bytes are cut', () => {
    const messages = [
      aMessage({}),
      aMessage({ a: 1, b: [null, 'x'] }, 'y'.repeat(3000)),
      aMessage({ c: { d: true } }, ''),
    ];
    const heartbeat = Buffer.from([8, 0, 0, 0, 0, 0, 0, 0xce]);
    const stream = Buffer.concat([heartbeat, ...messages, heartbeat]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 40 }), (sizes) => {
        const guard = new HeaderGuard();
        const out: Buffer[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          const passed = guard.filter(Buffer.from(stream.subarray(at, at + size)));
          if (passed !== undefined) out.push(Buffer.from(passed));
          at += size;
        }
        expect(Buffer.concat(out).equals(stream)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('withstands any bytes at all', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }), (chunks) => {
        const guard = new HeaderGuard();
        for (const chunk of chunks) guard.filter(Buffer.concat([Buffer.from([2, 0, 1, 0, 0, 0, 200]), chunk]));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a body that is larger than is read', () => {
  const limit = 100;
  const frames = (bytes: Buffer): [type: number, channel: number, payload: Buffer][] => {
    const seen: [number, number, Buffer][] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = bytes.readUInt32BE(at + 3);
      seen.push([bytes[at] ?? 0, bytes.readUInt16BE(at + 1), bytes.subarray(at + 7, at + 7 + size)]);
      expect(bytes[at + 7 + size]).toBe(0xce);
      at += size + 8;
    }
    return seen;
  };
  /** Small and large ones in turn, over frames of 4 KiB. */
  const stream = (): Buffer =>
    Buffer.concat(
      ['first', 'x'.repeat(20_000), 'y'.repeat(100), 'z'.repeat(101), ''].map((body) => aMessage({}, body)),
    );
  const expected = (): unknown[] => ['first', 20_000, 'y'.repeat(100), 101, ''];
  const bodies = (bytes: Buffer): unknown[] => {
    const found: unknown[] = [];
    for (const [type, , payload] of frames(bytes)) {
      if (type === 2) found.push(payload.readUInt32BE(8) === 0 ? '' : undefined);
      if (type === 3) found[found.length - 1] = oversizeOf(payload) ?? payload.toString();
    }
    return found;
  };

  it('is left out, and its size stands in its place', () => {
    const out = new HeaderGuard(limit).filter(stream());
    expect(bodies(out ?? Buffer.alloc(0))).toEqual(expected());
    expect(out?.length).toBeLessThan(2_000);
  });

  it('however the bytes come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 60 }), (sizes) => {
        const guard = new HeaderGuard(limit);
        const bytes = stream();
        const passed: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          passed.push(guard.filter(Buffer.from(bytes.subarray(at, at + size))) ?? Buffer.alloc(0));
          at += size;
        }
        expect(bodies(Buffer.concat(passed))).toEqual(expected());
      }),
      { numRuns: 100 },
    );
  });

  it('on one channel leaves the bodies of another alone', () => {
    const [large, small] = [aMessage({}, 'x'.repeat(5_000)), onChannel(aMessage({}, 'small'), 2)];
    const parts = (bytes: Buffer): Buffer[] => {
      const found: Buffer[] = [];
      for (let at = 0; at < bytes.length; ) {
        const next = at + bytes.readUInt32BE(at + 3) + 8;
        found.push(bytes.subarray(at, next));
        at = next;
      }
      return found;
    };
    const [a = [], b = []] = [parts(large), parts(small)];
    const mixed = Buffer.concat([...a.slice(0, 2), ...b.slice(0, 2), ...a.slice(2), ...b.slice(2)]);
    const seen = frames(new HeaderGuard(limit).filter(mixed) ?? Buffer.alloc(0)).filter(([type]) => type === 3);
    expect(seen.map(([, channel, payload]) => [channel, oversizeOf(payload) ?? payload.toString()])).toEqual([
      [1, 5_000],
      [2, 'small'],
    ]);
  });

  it('is read where there is no limit', () => {
    expect(new HeaderGuard().filter(stream())?.equals(stream())).toBe(true);
  });
});

function onChannel(bytes: Buffer, channel: number): Buffer {
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at + 3) + 8) bytes.writeUInt16BE(channel, at + 1);
  return bytes;
}

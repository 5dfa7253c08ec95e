/** faults.md section 5: what is too large, too deep or a bomb is refused, and costs less than twice the limit. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeBzip2 } from '../../../src/message/compression/bzip2-encoder.ts';
import { createCodec } from '../../../src/message/index.ts';
import { xzBomb } from '../../support/bombs.ts';
import { aMessage } from './builders.ts';

const MiB = 1024 * 1024;
const bombBytes = 300 * MiB;
const runBytes = 128 * 1024;
const limits = { body: 16 * MiB, decompressed: 64 * MiB };
const codec = createCodec();

/** The reader, compiled where it finds the packages it needs. */
const root = join(import.meta.dirname, '..', '..', '..');
const compiled = join(root, 'node_modules', '.cache', `hostile-reader-${process.pid}`);

beforeAll(() => {
  const compilerOptions = { noEmit: false, outDir: compiled, rootDir: root, sourceMap: false };
  const files = [join(root, 'test/unit/message/hostile-reader.ts')];
  mkdirSync(compiled, { recursive: true });
  writeFileSync(join(compiled, 'package.json'), '{"type": "module"}');
  const project = { extends: join(root, 'tsconfig.json'), compilerOptions, files, include: [] };
  writeFileSync(join(compiled, 'tsconfig.json'), JSON.stringify(project));
  execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(compiled, 'tsconfig.json')]);
});

afterAll(() => rmSync(compiled, { recursive: true, force: true }));

interface Ending {
  readonly ended: string;
  readonly growth: number;
  readonly milliseconds: number;
  readonly ordinary: number;
}

/** The ending of a message with this body, read in a process of its own. */
async function endingOf(body: Uint8Array, headers: object = {}, properties: object = {}): Promise<Ending> {
  const child = spawn(process.execPath, [join(compiled, 'test/unit/message/hostile-reader.js')]);
  const good = aMessage(codec, headers as Record<string, unknown>);
  const parts: { out: string; err: string } = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    parts.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    parts.err += chunk;
  });
  const message = {
    properties: { ...good.properties, ...properties },
    headers: good.headers,
    body: Buffer.from(body).toString('base64'),
  };
  child.stdin.end(JSON.stringify(message));
  await once(child, 'close');
  if (parts.out === '') throw new Error(`The reader died: ${parts.err}`);
  return JSON.parse(parts.out);
}

/** A frame that does not say its size, of runs. */
function zstdBomb(): Buffer {
  const count = bombBytes / runBytes;
  const runs = Array.from({ length: count }, (_, at) => run(at === count - 1));
  return Buffer.concat([Buffer.from('28b52ffd0058', 'hex'), ...runs]);
}

/** The runtime hands out zeroes without touching memory. */
const zeroes = (): Buffer => Buffer.alloc(bombBytes);

/** A run of 128 KiB in four bytes. */
function run(isLast: boolean): Buffer {
  const header = (isLast ? 1 : 0) | (1 << 1) | (runBytes << 3);
  return Buffer.from([header & 0xff, (header >> 8) & 0xff, header >> 16, 0]);
}

function expectRefused(ending: Ending, reason: RegExp, limit: number): void {
  expect(ending.ended).toMatch(reason);
  expect(ending.growth).toBeLessThan(2 * limit);
  expect(ending.ordinary).toBe(5);
}

describe('a body that decompresses to 300 MB', { timeout: 60_000 }, () => {
  it.each([
    ['application/x-gzip', () => deflateSync(zeroes())],
    ['application/x-gzip', () => gzipSync(zeroes())],
    ['application/x-brotli', () => brotliCompressSync(zeroes(), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
    ['application/x-bz2', () => Buffer.concat(Array(30).fill(encodeBzip2(Buffer.alloc(10 * MiB))))],
    ['application/x-lzma', xzBomb],
    ['application/zstd', zstdBomb],
  ])('by %s is refused for less than twice the limit', async (compression, make) => {
    const bomb = make();
    expect(bomb.length).toBeLessThan(MiB);
    expectRefused(await endingOf(bomb, { compression }), /^DecodeError: .*67108864 bytes/, limits.decompressed);
  });
});

describe('a body nested 100,000 deep', { timeout: 60_000 }, () => {
  const deep = 100_000;
  it.each([
    ['lists of JSON', '['.repeat(deep) + ']'.repeat(deep), 'application/json'],
    ['maps of JSON', `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`, 'application/json'],
    ['JSON that does not close', '['.repeat(deep), 'application/json'],
    ['JSON that needs the tolerant parser', `[NaN,${'['.repeat(deep)}${']'.repeat(deep)}]`, 'application/json'],
    ['flow lists of YAML', '['.repeat(deep) + ']'.repeat(deep), 'application/x-yaml'],
    ['block lists of YAML', `${'- '.repeat(deep)}1`, 'application/x-yaml'],
  ])('in %s is refused', async (_, text, contentType) => {
    const ending = await endingOf(Buffer.from(text), {}, { contentType });
    expectRefused(ending, /^DecodeError: /, limits.body);
    expect(ending.milliseconds).toBeLessThan(5_000);
  });

  it('in lists of msgpack is refused', async () => {
    const ending = await endingOf(Buffer.alloc(deep, 0x91), {}, { contentType: 'application/x-msgpack' });
    expectRefused(ending, /^DecodeError: .*deeper/, limits.body);
  });
});

describe('a body of 20 MB', { timeout: 60_000 }, () => {
  it('is refused before it is read', async () => {
    const ending = await endingOf(Buffer.from(`[["${'x'.repeat(20 * MiB)}"], {}, {}]`));
    expectRefused(ending, /^DecodeError: .*20971534 bytes.*workerMaxBodyBytes/, MiB);
    expect(ending.milliseconds).toBeLessThan(50);
  });
});

describe('a body with __proto__ keys', { timeout: 60_000 }, () => {
  it('is taken, and changes no prototype', async () => {
    const poison = '{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}';
    const ending = await endingOf(Buffer.from(`[[${poison}], ${poison}, {"callbacks": null}]`), {
      stamps: JSON.parse(poison),
    });
    expect(ending).toMatchObject({ ended: 'was taken', ordinary: 5 });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

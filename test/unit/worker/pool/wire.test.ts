import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Job, Report } from '../../../../src/execution/index.ts';
import { protocolHeaders } from '../../../../src/message/index.ts';
import {
  isFromChild,
  levelOf,
  packJob,
  packReport,
  packResult,
  sendable,
  unpackJob,
  unpackReport,
  unpackResult,
} from '../../../../src/worker/pool/wire.ts';

const throughPipe = <T>(message: T): T => JSON.parse(JSON.stringify(message));

const aJob = (body: Uint8Array): Job => ({
  id: 'i',
  task: 't',
  headers: { retries: 0 },
  properties: { contentType: 'application/json' },
  deliveryInfo: { exchange: '', routingKey: 'q', priority: 0, redelivered: false },
  body,
  softTimeLimit: 1,
  timeLimit: 2,
  crashes: 0,
});

const usual = Object.fromEntries(protocolHeaders.map((name, at) => [name, at % 2 === 0 ? null : { at }]));

const { lang: _lang, ...fewer } = usual;

const aResult = (body: Uint8Array) => ({ taskId: 'i', state: 'S', contentType: 'c', contentEncoding: 'e', body });

describe('messages between a pool and its children', () => {
  it('carry any body unchanged, text or not, even a part of a larger buffer', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
        ),
        (body) => {
          const inner = Buffer.concat([Buffer.from('before'), body, Buffer.from('after')]).subarray(6, 6 + body.length);
          const bytes = new Uint8Array(inner.buffer, inner.byteOffset, inner.length);
          const job = unpackJob(throughPipe(packJob(7, true, aJob(bytes))));
          expect(Buffer.compare(Buffer.from(job.body), Buffer.from(body))).toBe(0);
          expect({ ...job, body: null }).toEqual({ ...aJob(bytes), body: null });
          const result = unpackResult(throughPipe(packResult(aResult(bytes))));
          expect(Buffer.compare(Buffer.from(result.body), Buffer.from(body))).toBe(0);
        },
      ),
    );
  });

  it.each([
    ['the usual ones', usual],
    ['others beside them', { ...usual, compression: 'zlib', tenant: 'x' }],
    ['as many, but others', { ...fewer, tenant: 'x' }],
    ['none', {}],
    ['one named like a part of objects', JSON.parse('{"__proto__":{"polluted":true},"task":"t"}')],
  ])('carry headers as they are: %s', (_what, headers) => {
    const given = { ...aJob(Buffer.from('')), headers };
    expect(unpackJob(throughPipe(packJob(1, false, given))).headers).toEqual(throughPipe(headers));
  });

  it('carry the properties that there are', () => {
    const properties = { contentType: 'c', deliveryMode: 2, priority: 0, replyTo: '', appId: 'a', timestamp: 5 };
    const given = { ...aJob(Buffer.from('')), properties: { ...properties, type: undefined } };
    expect(unpackJob(throughPipe(packJob(1, false, given))).properties).toStrictEqual(properties);
  });

  it('carry a report whole', () => {
    const report: Report = {
      outcome: { kind: 'retrying', reasonRepr: 'r', traceback: 't', delaySeconds: 3 },
      publications: [
        {
          envelope: { properties: { priority: 1 }, headers: { task: 'x' }, body: Buffer.from([0xff, 0]) },
          exchange: 'e',
          routingKey: 'k',
          confirm: true,
          mandatory: false,
        },
      ],
      results: [aResult(Buffer.from('{}')), aResult(Buffer.from('ł'))],
    };
    expect(unpackReport(throughPipe(packReport(report)))).toEqual(report);
  });

  it('become what JSON can carry when they are not', () => {
    expect(sendable(['run', { a: 1n, b: 2n ** 70n, c: () => 1, d: [-5n] }])).toEqual([
      'run',
      { a: 1, b: '1180591620717411303424', d: [-5] },
    ]);
  });

  it('are told from what user code may write into the pipe', () => {
    expect([['up'], ['done', 1]].every(isFromChild)).toBe(true);
    expect(['ready', { type: 'ready' }, null, [], [1], 5].some(isFromChild)).toBe(false);
  });
});

describe('level names', () => {
  it.each([
    ['WARNING', 'warn'],
    ['CRITICAL', 'fatal'],
    ['info', 'info'],
    ['no such', 'warn'],
    [undefined, 'warn'],
  ])('%s is %s', (given, level) => {
    expect(levelOf(given)).toBe(level);
  });
});

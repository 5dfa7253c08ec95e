/**
 * Reads one hostile message in a process of its own, so that what it costs can be seen. Given `{ properties, headers, body (base64) }` as
 * JSON on stdin, it prints how the message ended and by how much the peak of memory grew; then five ordinary tasks must pass.
 */
import { text } from 'node:stream/consumers';
import { createCodec, decodeTask, decodeTaskBody } from '../../../src/message/index.ts';
import { aMessage } from './builders.ts';

async function read(): Promise<void> {
  const codec = createCodec({ accept: ['json', 'yaml', 'msgpack'] });
  await codec.prepare(['json', 'yaml', 'msgpack', 'zlib', 'bzip2', 'brotli', 'xz', 'zstd']);
  const given = JSON.parse(await text(process.stdin));
  const envelope = { properties: given.properties, headers: given.headers, body: Buffer.from(given.body, 'base64') };
  ordinary(codec);
  const before = process.resourceUsage().maxRSS * 1024;
  const start = performance.now();
  let ended = 'was taken';
  try {
    const message = decodeTask(envelope, codec);
    decodeTaskBody(message.headers, envelope.properties, envelope.body, codec);
  } catch (error) {
    ended = `${(error as Error).name}: ${(error as Error).message}`;
  }
  const milliseconds = performance.now() - start;
  const growth = process.resourceUsage().maxRSS * 1024 - before;
  console.log(JSON.stringify({ ended, growth, milliseconds, ordinary: ordinary(codec) }));
}

function ordinary(codec: ReturnType<typeof createCodec>): number {
  let passed = 0;
  for (let at = 0; at < 5; at++) {
    const envelope = aMessage(codec, { id: `ordinary-${at}` });
    const message = decodeTask(envelope, codec);
    const { args } = decodeTaskBody(message.headers, envelope.properties, envelope.body, codec);
    if (message.id === `ordinary-${at}` && args.length === 2) passed++;
  }
  return passed;
}

void read();

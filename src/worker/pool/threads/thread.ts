/**
 * A pool thread: the same runtime as a pool process, in a worker thread. Everything but memory is shared with the worker,
 * so a crash of native code takes all of it along; `process.exit()` ends the thread alone.
 */
import { getHeapStatistics } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { type ChildPort, ChildRuntime } from '../runtime.ts';
import type { FromChild, ToChild } from '../wire.ts';

if (parentPort === null) throw new Error('This program is started by a worker; it is of no use alone.');
const line = parentPort;

const port: ChildPort = {
  pid: process.pid,
  send: (message: FromChild) => line.postMessage(message),
  exit: (exitCode) => process.exit(exitCode), // what was posted is delivered first
  memoryKib: () => {
    const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
    return (heap + external) / 1024;
  },
};

const runtime = new ChildRuntime(port);
line.on('message', (message: ToChild) => runtime.receive(message));

import { describe, expect, it } from 'vitest';
import { watchStrayErrors } from '../../../../src/worker/pool/stray-errors.ts';

describe('errors that escape a body', () => {
  it('reach the one whose body it was, among several in one process', () => {
    const heard: string[] = [];
    const others = process.rawListeners('uncaughtException');
    process.removeAllListeners('uncaughtException'); // the test runner's own would take it for a failure
    let whose = 'a';
    const watch = (name: string) =>
      watchStrayErrors({ owns: () => whose === name, take: (error, kind) => heard.push(`${name}: ${kind}: ${error}`) });
    const undo = [watch('a'), watch('b')];
    try {
      process.emit('uncaughtException', 'one' as never);
      whose = 'b';
      process.emit('uncaughtException', 'two' as never);
    } finally {
      for (const one of undo) one();
      for (const listener of others) process.on('uncaughtException', listener as never);
    }
    expect(heard).toEqual(['a: uncaught exception: one', 'b: uncaught exception: two']);
  });
});

import { describe, expect, it } from 'vitest';
import { workerNodeName } from '../../../src/core/node-names.ts';

describe('the node name of a worker', () => {
  it.each([
    [undefined, 'host.example.com', 'celery@host.example.com'],
    ['w1', 'host', 'w1@host'],
    ['w1@elsewhere', 'host', 'w1@elsewhere'],
    ['@elsewhere', 'host', 'celery@elsewhere'],
    ['w1@%h', 'host.example.com', 'w1@host.example.com'],
    ['w1@%n.%d', 'host.example.com', 'w1@host.example.com'],
    ['w1@%d', 'host.example.com', 'w1@example.com'],
    ['w1@%d', 'host', 'w1@host'],
    ['w%i@%h', 'host', 'w0@host'],
    ['w%I@%h', 'host', 'w@host'],
  ])('from -n %s on %s is %s', (given, hostname, name) => {
    expect(workerNodeName(given, hostname)).toBe(name);
  });

  it.each(['a b', 'a\nb', 'ä', 'a%%b', 'a/b'])('is not %j', (given) => {
    expect(() => workerNodeName(given, 'host')).toThrow('node name');
  });
});

/** The words of `multi` and the nodes made of them: Celery's vectors, and what they leave open. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { type MultiNode, multiNodes } from '../../../src/cli/multi/nodes.ts';
import { parseMultiWords } from '../../../src/cli/multi/words.ts';
import { expandNodeFormat, nodeParts } from '../../../src/cli/node-format.ts';

interface Vector {
  readonly args: readonly string[];
  readonly stdout: string;
}
const spec: {
  multi: {
    vectors: readonly Vector[];
    node_format_vectors: readonly { template: string; node: string; result: string }[];
  };
} = JSON.parse(await readFile(new URL('../../spec/cli.json', import.meta.url), 'utf8'));

const defaults = {
  hostname: 'HOST',
  executable: 'node',
  entry: ['-m', 'celery'],
  pidfile: '/run/%n.pid',
  logfile: '/log/%n%I.log',
};
const valued = new Set(['--loglevel', '--concurrency']);
const nodes = (...words: string[]): MultiNode[] =>
  multiNodes(
    parseMultiWords(words, (option) => valued.has(option)),
    defaults,
  );

function printed([command = '', ...words]: readonly string[]): string {
  const line = (text: string): string => `${text}\n`;
  switch (command) {
    case 'names':
      return nodes(...words)
        .map(({ full }) => line(full))
        .join('');
    case 'expand': {
      const [template = '', ...names] = words;
      return nodes(...names)
        .map((node) => line(expandNodeFormat(template, node)))
        .join('');
    }
    case 'show':
      return nodes(...words)
        .map(({ executable, shown }) => line([executable, ...shown].join(' ')))
        .join('');
    case 'get': {
      const [wanted, ...names] = words;
      return nodes(...names)
        .filter(({ full }) => full === wanted)
        .map(({ shown }) => line(shown.join(' ')))
        .join('');
    }
    default:
      throw new Error(`no such command: ${command}`);
  }
}

describe("Celery's multi vectors", () => {
  it.each(spec.multi.vectors.map((vector) => [vector.args.join(' '), vector] as const))('%s', (_, vector) => {
    expect(printed(vector.args)).toBe(vector.stdout);
  });

  it.each(spec.multi.node_format_vectors)('$template of $node is $result', ({ template, node, result }) => {
    expect(expandNodeFormat(template, nodeParts(node))).toBe(result);
  });
});

describe('the words of multi', () => {
  it('give a node its own value by name, by place and by full name, over the general one', () => {
    const c = (...words: string[]): (string | undefined)[] =>
      nodes(...words).map(({ argv }) => argv[argv.indexOf('-c') + 1]);
    expect(c('w1', 'w2', '-c', '2', '-c:w1', '3')).toEqual(['3', '2']);
    expect(c('w1', 'w2', '-c', '2', '-c:2', '5')).toEqual(['2', '5']);
    expect(c('w1', 'w2', 'w3', '-c', '2', '-c:1,3', '7')).toEqual(['7', '2', '7']);
    expect(c('w1', 'w2', '-c', '2', '-c:w2@HOST', '9')).toEqual(['2', '9']);
    expect(c('3', '-c', '2', '-c:celery3', '4')).toEqual(['2', '2', '4']);
  });

  it('refuse a place that no node has', () => {
    for (const scope of ['0', '3', '1,9']) {
      expect(() => nodes('w1', 'w2', `-c:${scope}`, '3'), scope).toThrow(/There is no node \d: places go from 1 to 2/);
    }
    expect(() => nodes('3', '-Q:1-4', 'a')).toThrow(/There is no node 4/);
    expect(() => nodes('3', '-Q:3-1', 'a')).toThrow(/range 3-1 is empty/);
  });

  it('take the word behind an option that has a value, and no name behind one that has none', () => {
    const [w1, w2] = nodes('-E', 'w1', '--loglevel', 'info', 'w2', '--without-gossip');
    expect([w1?.full, w2?.full]).toEqual(['w1@HOST', 'w2@HOST']);
    expect(w1?.argv).toContain('--loglevel=info');
    expect(w1?.argv).toContain('-E');
  });

  it('put what stands behind -- and --append at the end of each command', () => {
    const [node] = nodes('w1', '--append=--purge -Q %n', '--', '--autoscale=3,1');
    expect(node?.argv.slice(-4)).toEqual(['--autoscale=3,1', '--purge', '-Q', 'w1']);
  });

  it('keep values with spaces one word, and show them quoted', () => {
    const [node] = nodes('w1', '-A', 'my tasks', '--logfile', 'x');
    expect(node?.argv.slice(0, 6)).toEqual(['-m', 'celery', '-A', 'my tasks', 'worker', '--detach']);
    expect(node?.shown).toContain(`-A 'my tasks'`);
  });

  it('are printed with their secrets masked, and run with them', () => {
    const url = 'amqp://me:s3cret@rabbit//';
    const secrets = [
      '-b',
      url,
      '-b:w2',
      `${url};${url}`,
      `--result-backend=redis://:s3cret@cache/0`,
      '--password=s3cret',
    ];
    const all = nodes('w1', 'w2', ...secrets, `--append=--token s3cret`, '--', `broker.url=${url}`, 'api_key=s3cret');
    for (const { argv, shown } of all) {
      expect(shown.join(' ')).not.toContain('s3cret');
      expect(argv.filter((word) => word.includes('s3cret'))).toHaveLength(6);
    }
    expect(all[0]?.shown).toContain(`-b 'amqp://me:********@rabbit//'`);
  });

  it('let no name out of the folders its files belong in', () => {
    for (const name of ['../../x', 'a b', 'x/y', 'a\nb']) expect(() => nodes(name), name).toThrow(/may have letters/);
  });

  it('know what %n, %h and %i are, and refuse other letters', () => {
    const [node] = nodes('w1@a.example.com', '--pidfile=%n-%d.pid', '--logfile=%h%I-%i.log');
    expect([node?.pidfile, node?.logfile]).toEqual(['w1-example.com.pid', 'a.example.com-0.log']);
    expect(node?.argv).toContain('--logfile=a.example.com%I-%i.log');
    expect(() => nodes('w1', '--pidfile=%x.pid')).toThrow(/'%x' in '%x.pid' means nothing/);
  });

  it('want names', () => {
    expect(() => nodes('-c', '3')).toThrow(/Name the nodes/);
    expect(() => nodes('0')).toThrow(/1 to 1000 nodes, not 0/);
  });
});

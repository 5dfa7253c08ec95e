import { describe, expect, it } from 'vitest';
import { Celery } from '../../../src/app/index.ts';
import { dot } from '../../../src/cli/dot.ts';
import { createProgram } from '../../../src/cli/program.ts';
import { StartStopStep } from '../../../src/core/bootsteps.ts';
import { stepRequirements } from '../../../src/worker/index.ts';

describe('a graph', () => {
  it('is Graphviz text in which no name can end its quotes', () => {
    const text = dot({
      name: 'g',
      title: 'a "title"',
      nodes: [
        { id: 'a"b\\', look: 'step' },
        { id: 'c', label: 'C', look: 'broker' },
      ],
      edges: [['a"b\\', 'c']],
      groups: new Map([['one', ['c']]]),
    });
    expect(text.split('\n')).toEqual([
      'digraph "g" {',
      '  rankdir=BT;',
      '  label="a \\"title\\"";',
      '  labelloc=t;',
      '  node [style=filled, fontname="sans-serif"];',
      '  subgraph "cluster_one" {',
      '    label="one";',
      '    "c" [label="C", shape="cylinder", fillcolor="lightblue"];',
      '  }',
      '  "a\\"b\\\\" [label="a\\"b\\\\", shape="box", fillcolor="palegreen"];',
      '  "a\\"b\\\\" -> "c";',
      '}',
      '',
    ]);
  });
});

describe('the steps of a worker', () => {
  it('are there with what each requires, those of the user at their places', () => {
    class Watch extends StartStopStep {
      static override readonly requires = ['celery.worker.components:Pool'];
    }
    class Late extends StartStopStep {
      static override readonly requires = [Watch];
    }
    const app = new Celery('steps');
    app.steps.worker.add(Watch);
    app.steps.worker.add(Late);
    const { consumer, worker } = stepRequirements(app);
    expect([...worker.keys()].slice(0, 5)).toEqual(['Timer', 'Hub', 'Pool', 'Watch', 'Late']);
    expect([worker.get('Timer'), worker.get('Watch'), worker.get('Late')]).toEqual([[], ['Pool'], ['Watch']]);
    expect(consumer.get('Mingle')).toEqual(['Events']);
  });
});

describe('celery-ts graph', () => {
  async function graph(...words: string[]): Promise<string> {
    let text = '';
    let exitCode: Promise<number> = Promise.resolve(0);
    const env = { CELERY_BROKER_URL: 'amqp://me:secret@nowhere:5672//' };
    const output = {
      write: (more: string) => {
        text += more;
      },
    };
    const program = createProgram('', { stdout: output, stderr: output, env }, (code) => {
      exitCode = code;
    });
    await program.parseAsync(['graph', ...words], { from: 'user' });
    expect(await exitCode).toBe(0);
    return text;
  }

  it('bootsteps: draws the worker, the consumer, or both with the consumer after the worker', async () => {
    expect(await graph('bootsteps', 'worker')).not.toMatch(/consumer/);
    expect(await graph('bootsteps', 'consumer')).not.toMatch(/worker/);
    expect(await graph('bootsteps')).toMatch(/"consumer\.Connection" -> "worker\.\w+"/);
    await expect(graph('bootsteps', 'beat')).rejects.toThrow(/not 'beat'/);
  });

  it('workers: draws named workers and their pools with the middle left out, and asks nobody', async () => {
    const text = await graph('workers', 'nodes:a,b,c', 'threads:5,1,9', 'wmax:2', 'tmax:2', 'broker:amqp://x:y@h//');
    expect(text).toMatch(/label="… 2 more", shape="box"/);
    expect(text).toMatch(/label="c", shape="box"/);
    expect(text).toMatch(/label="… 8 more", shape="oval"/);
    expect(text).not.toMatch(/label="[ab]"|x:y@/);
    expect(text.match(/ -> "broker"/g)).toHaveLength(2);
    expect(await graph('workers', 'nodes:a,b', 'generic', 'enumerate', 'broker:amqp://h//')).toMatch(
      /"Broker \(amqp:\/\/\)"[\s\S]*"Worker 2"/,
    );
    await expect(graph('workers', 'wmx:2')).rejects.toThrow(/did you mean 'wmax'/);
    await expect(graph('workers', 'nodes:a', 'threads:0')).rejects.toThrow(/whole numbers from 1/);
  });
});

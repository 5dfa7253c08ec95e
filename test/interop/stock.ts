/** A celery-ts worker and Celery's own command line beside it, for the tests of each command. */
import { expect } from 'vitest';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';
import { type PythonProject, pythonProject } from '../support/python.ts';

/** Bodies that end when they are told to: `slow` also when it is revoked. */
export const tasks = `
import { Celery } from 'celery-ts';
export const app = new Celery('proj', {
  brokerUrl: process.env.BROKER,
  resultBackend: 'rpc://',
  taskDelayedDelivery: 'worker',
  workerPoolRestarts: true,
});
app.task('proj.add', (x: number, y: number) => x + y);
app.task('proj.fail', () => { throw new TypeError('not today'); });
app.task('proj.limited', { rateLimit: '10/m' }, () => 'slowly');
app.task('proj.slow', { bind: true }, (self, seconds: number) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  self.signal.addEventListener('abort', () => { clearTimeout(timer); reject(self.signal.reason); });
}));
`;

const client = `
import os
from celery import Celery
app = Celery('proj', broker=os.environ['BROKER'], backend='rpc://')
`;

/** Celery's own command line, called once for each line of words: starting Python anew for each would take a second. */
const many = `
import json, os
from click.testing import CliRunner
from celery.bin.celery import celery
def run(words):
    result = CliRunner().invoke(celery, ['-A', 'proj', *words])
    return {'text': result.output, 'code': result.exit_code}
print(json.dumps([run(words) for words in json.loads(os.environ['WORDS'])]))
`;

/** What a command printed, and its exit code. */
export interface Printed {
  readonly text: string;
  readonly code: number | undefined;
}

export interface StockWorld extends AsyncDisposable {
  readonly worker: Program;
  readonly node: string;
  readonly project: TempProject;
  readonly python: PythonProject;
  readonly env: Readonly<Record<string, string>>;
  /** `celery -A proj …words`, to its end, in a process of its own. */
  celery(...words: string[]): Promise<Printed>;
  /** Several of them, one after the other, in one process. */
  celeryEach(commands: readonly (readonly string[])[]): Promise<readonly Printed[]>;
  /** The answers of our worker to `celery inspect -j …` (or `control`), given the words after the name of our node. */
  answers(kind: 'inspect' | 'control', ...commands: string[]): Promise<readonly unknown[]>;
}

/** Starts the worker and waits until it is ready. */
export async function stockWorld(
  brokerUrl: string,
  node: string,
  workerOptions: readonly string[],
): Promise<StockWorld> {
  const env = { BROKER: brokerUrl };
  const project = await tempProject({ 'tasks.ts': tasks });
  const python = await pythonProject({ 'proj.py': client });
  const worker = project.start(['worker', '-A', 'tasks', '-n', node, '-l', 'INFO', ...workerOptions], env);
  const close = async (): Promise<void> => {
    await worker[Symbol.asyncDispose]();
    await project.close();
    await python.close();
  };
  try {
    await worker.line(new RegExp(`${node} ready`), 30);
  } catch (error) {
    await close();
    throw error;
  }
  const celery: StockWorld['celery'] = async (...words) => {
    await using program = python.celery(['-A', 'proj', ...words], env);
    const { code, stderr, stdout } = await program.ended;
    return { text: stdout + stderr, code };
  };
  const celeryEach: StockWorld['celeryEach'] = async (commands) =>
    (await python.evaluate(many, { ...env, WORDS: JSON.stringify(commands) })) as Printed[];
  return {
    worker,
    node,
    project,
    python,
    env,
    celery,
    celeryEach,
    answers: async (kind, ...commands) => {
      const printed = await celeryEach(
        commands.map((command) => [kind, '-j', '-t', '10', '-d', node, ...command.split(' ')]),
      );
      return printed.map(({ code, text }) => {
        expect(code, text).toBe(0);
        const all: unknown = JSON.parse(text);
        const replies = kind === 'control' ? (all as unknown[])[0] : all;
        return (replies as Record<string, unknown>)[node];
      });
    },
    [Symbol.asyncDispose]: close,
  };
}

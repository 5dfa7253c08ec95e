/**
 * The pool of the worker, without a broker: `BENCH_CHILDREN` processes with the bench's app run `BENCH_COUNT` times
 * `fib(25)`, `BENCH_PREFETCH` of them with the pool at a time. Prints how long it took.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../measure.ts';

/** What of the built pool is used here; the package does not export it. */
interface Pool {
  submit(job: object, listener: object, done: (report: { readonly outcome: { readonly kind: string } }) => void): void;
  close(): Promise<void>;
}

const url = (path: string): string => pathToFileURL(join(root, 'dist', path)).href;
const { openPool } = (await import(url('worker/pool/index.js'))) as {
  openPool(name: string, options: object): Promise<Pool>;
};
const { nodeSystem } = (await import(url('core/system.js'))) as { nodeSystem(): object };

const count = Number(process.env.BENCH_COUNT);
const pool = await openPool('prefork', {
  size: Number(process.env.BENCH_CHILDREN),
  system: nodeSystem(),
  child: {
    url: url('worker/pool/app-tracer.js'),
    data: {
      location: { kind: 'app', path: join(import.meta.dirname, '..', 'tasks.js'), exportName: 'app' },
      flags: {},
      nodeName: 'bench@here',
      resultForm: 'none',
    },
  },
});

const listener = { started: () => undefined, state: () => undefined, event: () => undefined };
const body = Buffer.from('[[25], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]');
const started = performance.now();
await new Promise<void>((resolve, reject) => {
  let sent = 0;
  let ended = 0;
  const submit = (): void => {
    sent += 1;
    const id = `fib-${sent}`;
    const job = {
      id,
      task: 'bench.fib',
      headers: { lang: 'js', task: 'bench.fib', id, root_id: id, retries: 0, argsrepr: '[25]', ignore_result: true },
      properties: { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: id },
      deliveryInfo: { exchange: '', routingKey: 'fib', priority: undefined, redelivered: false },
      body,
      softTimeLimit: undefined,
      timeLimit: undefined,
      crashes: 0,
    };
    pool.submit(job, listener, ({ outcome }) => {
      ended += 1;
      if (outcome.kind !== 'succeeded') reject(new Error(`A run has ${JSON.stringify(outcome)}.`));
      else if (ended === count) resolve();
      else if (sent < count) submit();
    });
  };
  while (sent < Math.min(count, Number(process.env.BENCH_PREFETCH))) submit();
});
console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, count }));
await pool.close();

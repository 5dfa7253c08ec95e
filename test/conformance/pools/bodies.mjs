/**
 * The tasks that the pool tests run: a tracer of its own, so that nothing but the pool is tested. What a job does is named
 * in its headers: `verb` and `arg`. Plain JavaScript, because children load it.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const kept = [];

/** @type {Record<string, (arg: any, run: { job: any, signal: AbortSignal, listener: any }) => unknown>} */
const verbs = {
  value: (arg) => arg,
  headers: (_arg, { job }) => job.headers,
  job: (_arg, { job }) => ({ ...job, body: Buffer.from(job.body).toString('hex') }),
  pid: () => process.pid,
  env: () => ({ send: typeof process.send, titles: process.argv.slice(2) }),
  throw: (arg) => {
    throw new Error(arg);
  },
  sleep: (ms) => sleep(ms),
  /** Ends early, with the signal's reason. */
  obey: async (ms, { signal }) => {
    try {
      await sleep(ms, undefined, { signal });
    } catch {
      throw signal.reason;
    }
  },
  reasonOf: async (_arg, { signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return `${signal.reason.name}: ${signal.reason.message}`;
  },
  hang: () => new Promise(() => setInterval(() => undefined, 1000)),
  spin: (ms) => {
    for (const end = performance.now() + ms; performance.now() < end; );
  },
  waitThenSpin: async (ms, run) => {
    await sleep(20);
    verbs.spin(ms, run);
  },
  exit: (code) => process.exit(code),
  /** Something it started holds the channel open for a while after its end. */
  exitWithHeir: (seconds) => {
    spawn('sleep', [String(seconds)], { stdio: ['ignore', 'ignore', 'ignore', 3], detached: true }).unref();
    process.exit(7);
  },
  killSelf: (signal) => sleep(5000, process.kill(process.pid, signal)),
  strayThrow: async (arg) => {
    setTimeout(() => {
      throw new Error(arg);
    }, 5);
    await sleep(5000);
  },
  strayReject: async (arg) => {
    void (async () => {
      await sleep(5);
      throw new Error(arg);
    })();
    await sleep(5000);
  },
  strayMicrotask: async (arg) => {
    queueMicrotask(() => {
      throw new Error(arg);
    });
    await sleep(5000);
  },
  /** Returns a value all the same, soon after. */
  strayThenReturn: async (arg) => {
    void Promise.reject(new Error(arg));
    await sleep(30);
    return 'as if nothing had happened';
  },
  lateThrow: (arg) => {
    setTimeout(() => {
      throw new Error(arg);
    }, 20);
    return 'done before';
  },
  print: (lines) => {
    for (const line of lines) process.stdout.write(`${line}\n`);
  },
  complain: (line) => process.stderr.write(line),
  consoleLog: (line) => console.log(line),
  printThenHang: (line) => {
    console.log(line);
    for (;;);
  },
  /** For a second at least. */
  spam: (mebibytes) => {
    const line = `${'x'.repeat(1023)}\n`;
    const end = performance.now() + 1000;
    for (let i = 0; i < mebibytes * 1024 || performance.now() < end; i += 1) process.stdout.write(line);
  },
  rawSpam: (mebibytes) => {
    const chunk = Buffer.from(`${'y'.repeat(1023)}\n`.repeat(64));
    for (let i = 0; i < mebibytes * 16; i += 1) {
      for (let at = 0; at < chunk.length; ) {
        try {
          at += writeSync(1, chunk, at);
        } catch (error) {
          if (error.code !== 'EAGAIN') throw error;
        }
      }
    }
  },
  raw: (text) => writeSync(1, text),
  news: async (_arg, { job, listener }) => {
    listener.event('task-custom', { step: 1 });
    listener.state(resultOf(job.id, 'PROGRESS', { current: 1 }));
    await sleep(5);
    listener.event('task-custom', { step: 2 });
    return 'said it all';
  },
  keep: (mebibytes) => {
    kept.push(new Array(mebibytes * 131072).fill(1.5));
  },
  /** One line for each run: who, where. */
  tally: (path, { job }) => appendFileSync(path, `${job.id} ${process.pid}\n`),
  tallySpin: ([path, ms], run) => {
    verbs.tally(path, run);
    verbs.spin(ms, run);
  },
  tallySleep: async ([path, ms], run) => {
    verbs.tally(path, run);
    await sleep(ms);
  },
  brokenTracer: () => {
    throw new BrokenTracer('the tracer itself is broken');
  },
  publish: () => 'with follow-ups',
};

class BrokenTracer extends Error {}

/** @param {{ data: any, index: number, kind: string, system: any }} context */
export async function loadTracer({ data, index, kind, system }) {
  if (data?.tally !== undefined) appendFileSync(data.tally, `load ${process.pid} ${kind} ${index}\n`);
  if (data?.failWhen !== undefined && existsSync(data.failWhen))
    throw new TypeError(readFileSync(data.failWhen, 'utf8'));
  if (data?.load === 'throw') throw new TypeError('the app is broken');
  if (data?.load === 'exit') {
    process.stderr.write('the app cannot go on\n');
    process.exit(3);
  }
  if (data?.load === 'hang') await new Promise(() => setInterval(() => undefined, 1000));
  if (data?.load === 'stray') setTimeout(() => Promise.reject(new Error('left by the app')), 50);
  if (data?.load === 'log') system.log.warn({ answer: 42, name: 'celery.app' }, 'The app has something to say');
  return {
    tracer: { run, fail: (job, error) => Promise.resolve(failed(job, error, 0)) },
    processInit: async () => {
      if (data?.init === 'hang') await new Promise(() => setInterval(() => undefined, 1000));
      if (data?.tally !== undefined) appendFileSync(data.tally, `init ${process.pid}\n`);
    },
    processShutdown: ({ pid, exitCode }) => {
      if (data?.tally !== undefined) appendFileSync(data.tally, `shutdown ${pid} ${exitCode}\n`);
    },
  };
}

async function run(job, abort, listener) {
  const startedAt = performance.now();
  const runtimeSeconds = () => (performance.now() - startedAt) / 1000;
  const { verb, arg } = job.headers;
  try {
    listener.started(process.pid, 0);
    const value = await verbs[verb](arg, { job, signal: abort.signal, listener });
    return {
      outcome: { kind: 'succeeded', runtimeSeconds: runtimeSeconds(), resultRepr: JSON.stringify(value) ?? 'null' },
      publications: verb === 'publish' ? [publicationOf(job)] : [],
      results: verb === 'publish' ? [resultOf(job.id, 'SUCCESS', value)] : [],
    };
  } catch (error) {
    if (error instanceof BrokenTracer) throw error;
    return failed(job, error, runtimeSeconds());
  }
}

function failed(job, error, runtimeSeconds) {
  return {
    outcome: {
      kind: 'failed',
      runtimeSeconds,
      exceptionRepr: `${error.name}(${JSON.stringify(error.message)})`,
      traceback: error.stack,
      isExpected: false,
    },
    publications: [],
    results: [resultOf(job.id, 'FAILURE', error.message)],
  };
}

function resultOf(taskId, state, value) {
  const body = Buffer.from(JSON.stringify({ task_id: taskId, status: state, result: value }));
  return { taskId, state, contentType: 'application/json', contentEncoding: 'utf-8', body };
}

function publicationOf(job) {
  const envelope = { properties: { correlationId: job.id, priority: 3 }, headers: { lang: 'js' }, body: job.body };
  return { envelope, exchange: 'x', routingKey: 'k', confirm: true, mandatory: false };
}

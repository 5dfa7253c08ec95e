/**
 * A program that holds a pool, for tests that kill it, signal its group, or let errors escape in it. Takes
 * `{ pool, options, data }` as its argument and commands as lines of JSON on stdin; says what happens the same way.
 */
import { createInterface } from 'node:readline';
import { nodeSystem } from '../../../dist/core/system.js';
import { openPool } from '../../../dist/worker/pool/index.js';
import { loadTracer } from './bodies.mjs';

const { pool: name, options, data } = JSON.parse(process.argv[2]);
const say = (news) => process.stdout.write(`${JSON.stringify(news)}\n`);
const log = Object.assign(
  Object.fromEntries(
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [
      level,
      (fields, msg) => say({ log: level, msg: msg ?? fields, ...(typeof fields === 'object' ? flat(fields) : {}) }),
    ]),
  ),
  { level: 'info', levels: { labels: {} }, child: () => log },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP']) process.on(signal, () => say({ signal }));

const pool = await openPool(name, {
  size: 2,
  ...options,
  loadTracer,
  child: { url: new URL('./bodies.mjs', import.meta.url).href, data },
  system: nodeSystem({ log }),
});
say({ ready: pool.stats().processes });

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { verb, arg, id = verb, close, crash, execPath, ...job } = JSON.parse(line);
  if (crash) throw new Error(crash);
  if (close) {
    await pool.close();
    say({ closed: true });
    process.exit(0);
  }
  if (execPath) process.execPath = execPath;
  if (!verb) return say({ processes: pool.stats().processes });
  const listener = { started: () => say({ started: id }), state: () => undefined, event: () => undefined };
  const properties = {};
  const deliveryInfo = { exchange: '', routingKey: '', priority: undefined, redelivered: false };
  const headers = { verb, arg };
  const body = Buffer.from('[]');
  pool.submit(
    { id, task: `tests.${verb}`, headers, properties, deliveryInfo, body, crashes: 0, ...job },
    listener,
    ({ outcome }) => say({ ended: id, ...outcome }),
  );
});

function flat(fields) {
  return JSON.parse(
    JSON.stringify(fields, (_key, value) => (value instanceof Error ? { message: value.message } : value)),
  );
}

/**
 * Sends `BENCH_COUNT` tasks by `delay()`, `BENCH_IN_FLIGHT` of them unconfirmed at a time: `BENCH_TASK`, by default
 * `add`. Prints how long it took.
 */
import { add, app, fib, nap } from '../tasks.ts';

const count = Number(process.env.BENCH_COUNT);
const inFlight = Number(process.env.BENCH_IN_FLIGHT);
const send = { add: () => add.delay(2, 3), fib: () => fib.delay(25), nap: () => nap.delay(1_000) }[taskName()];

await send(); // connects, declares, and is one of them
const started = performance.now();
let sent = 1;
await Promise.all(
  Array.from({ length: inFlight }, async () => {
    while (sent < count) {
      sent += 1;
      await send();
    }
  }),
);
console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, count }));
await app.close();

function taskName(): 'add' | 'fib' | 'nap' {
  const name = process.env.BENCH_TASK ?? 'add';
  if (name === 'add' || name === 'fib' || name === 'nap') return name;
  throw new Error(`BENCH_TASK is add, fib or nap; got '${name}'.`);
}

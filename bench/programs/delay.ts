/** Sends `BENCH_COUNT` tasks by `add.delay()`, `BENCH_IN_FLIGHT` of them unconfirmed at a time. Prints how long it took. */
import { add, app } from '../tasks.ts';

const count = Number(process.env.BENCH_COUNT);
const inFlight = Number(process.env.BENCH_IN_FLIGHT);

await add.delay(2, 3); // connects, declares, and is one of them
const started = performance.now();
let sent = 1;
await Promise.all(
  Array.from({ length: inFlight }, async () => {
    while (sent < count) {
      sent += 1;
      await add.delay(2, 3);
    }
  }),
);
console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, count }));
await app.close();

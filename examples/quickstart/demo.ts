/**
 * `npm run demo`: the whole way of a few tasks. A worker in a process of its own takes them from the broker, runs them and
 * sends the results back. The broker is the one at CELERY_BROKER_URL or on the usual port; when none answers there,
 * the embedded one, so that nothing needs to be installed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startBroker } from 'celery-ts/broker';
import { add, app, divide, greet } from './tasks.ts';

const usual = 'amqp://guest:guest@127.0.0.1:5672//';

async function demo(): Promise<void> {
  const given = process.env.CELERY_BROKER_URL ?? ((await answers(usual)) ? usual : undefined);
  const embedded = given === undefined ? await startBroker() : undefined;
  const brokerUrl = given ?? embedded?.url ?? usual;
  console.log(given === undefined ? 'No broker answers: using the embedded one.' : 'Using the broker that is there.');
  app.conf.update({ brokerUrl });

  const worker = startWorker(brokerUrl);
  try {
    await ready(worker);

    const sum = await add.delay(2, 3);
    console.log(`add(2, 3) is ${await sum.get({ timeout: 20 })}`);

    const letters = await Promise.all(['Ada', 'Grace', 'Barbara'].map((name) => greet.delay(name)));
    for (const letter of letters) console.log(await letter.get({ timeout: 20 }));

    const impossible = await divide.delay(1, 0);
    try {
      await impossible.get({ timeout: 20 });
    } catch (error) {
      console.log(`divide(1, 0) fails here as it failed there: ${String(error)}`);
    }
  } finally {
    await stop(worker);
    await app.close();
    await embedded?.close();
  }
  console.log('Done.');
}

function startWorker(brokerUrl: string): ChildProcess {
  const bin = join('bin', 'celery-ts.js');
  const tasks = join('examples', 'quickstart', 'tasks.ts');
  return spawn(
    process.execPath,
    [bin, 'worker', '-A', tasks, '-Q', 'quickstart,letters', '-P', 'async', '-c', '4', '-l', 'INFO'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CELERY_BROKER_URL: brokerUrl },
    },
  );
}

/** Shows what the worker says; resolves when it says that it is ready. */
function ready(worker: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    const show = (chunk: Buffer): void => {
      process.stdout.write(
        chunk
          .toString()
          .replaceAll(/^\n/gm, '')
          .replaceAll(/^(?=.)/gm, '  worker | '),
      );
      said += chunk.toString();
      if (/ready\./.test(said)) resolve();
    };
    worker.stdout?.on('data', show);
    worker.stderr?.on('data', show);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`The worker ended with ${code} before it was ready.`)));
  });
}

async function stop(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  worker.kill('SIGTERM');
  await gone;
}

/** Whether an AMQP broker greets us at that address: a server answers the protocol header with a method frame. */
function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port || 5672) });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1000, () => end(false));
    socket.once('connect', () => socket.write('AMQP\x00\x00\x09\x01'));
    socket.once('data', (data) => end(data[0] === 1));
    socket.once('error', () => end(false));
  });
}

await demo();

/**
 * A pool process. What a terminal or a service manager sends to the whole group is for the parent to decide on, so it is
 * ignored here from the first moment; when the channel to the parent closes, this process ends.
 */
import { type ChildPort, ChildRuntime } from '../runtime.ts';
import type { FromChild, ToChild } from '../wire.ts';

// SIGUSR1 would open Node's inspector.
const ignored = ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;
if (process.platform !== 'win32') for (const signal of ignored) process.on(signal, () => undefined);

/** How long the last messages may take to leave. */
const lastWordsMs = 1000;

const send = process.send?.bind(process);
if (send === undefined) throw new Error('This program is started by a worker; it is of no use alone.');
delete process.send; // what user code would say there is for nobody

const port: ChildPort = {
  pid: process.pid,
  send: (message: FromChild) => {
    if (process.connected) send(message);
  },
  exit: (exitCode) => {
    const leave = (): void => process.exit(exitCode);
    if (!process.connected) return leave();
    setTimeout(leave, lastWordsMs);
    send(['many'], undefined, undefined, leave);
  },
  memoryKib: () => process.memoryUsage.rss() / 1024,
};

const runtime = new ChildRuntime(port);
process.on('message', (message: ToChild) => runtime.receive(message));
process.on('disconnect', () => runtime.hangUp());
process.on('error', () => undefined); // a send that failed: a parent that is gone shows as the channel's end

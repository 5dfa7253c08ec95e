/**
 * One slow task that tells how far it is. Run a worker on it:
 *
 *   npx celery-ts worker -A ./examples/progress/tasks.ts -Q progress -l INFO
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from 'celery-ts';

export const app = new Celery('progress', {
  brokerUrl: 'amqp://guest:guest@localhost:5672//',
  resultBackend: 'rpc://',
  taskDefaultQueue: 'progress',
});

/** Renders the frames of a film, each in a moment; gives how many there are. */
export const render = app.task('progress.render', { bind: true }, async (self, film: string, frames: number) => {
  for (let frame = 1; frame <= frames; frame += 1) {
    await sleep(50, undefined, { signal: self.signal });
    self.progress(frame, frames, `frame ${frame} of ${film}`);
  }
  return frames;
});

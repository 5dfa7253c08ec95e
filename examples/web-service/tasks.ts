/**
 * The work behind the web service: a task that takes a while and says how far it is. Run a worker on it:
 *
 *   npx celery-ts worker -A ./examples/web-service/tasks.ts -c 4 -l INFO
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from 'celery-ts';

export const app = new Celery('web-service', {
  brokerUrl: 'amqp://guest:guest@localhost:5672//',
  resultBackend: 'rpc://',
  taskDefaultQueue: 'thumbnails',
});

export const makeThumbnails = app.task('web.make_thumbnails', { bind: true }, async (self, images: string[]) => {
  const made: string[] = [];
  for (const image of images) {
    await sleep(100, undefined, { signal: self.signal }); // the work; a revoke with terminate ends it
    made.push(image.replace(/\.\w+$/, '.thumb.webp'));
    self.progress(made.length, images.length, image);
  }
  return made;
});

/**
 * An app with three tasks and two queues. Run a worker on it:
 *
 *   npx celery-ts worker -A ./examples/quickstart/tasks.ts -Q quickstart,letters -c 4 -l INFO
 */
import { Celery } from 'celery-ts';

export const app = new Celery('quickstart', {
  brokerUrl: 'amqp://guest:guest@localhost:5672//',
  resultBackend: 'rpc://',
  taskDefaultQueue: 'quickstart',
  taskRoutes: { 'quickstart.greet': { queue: 'letters' } },
});

export const add = app.task('quickstart.add', (x: number, y: number) => x + y);

export const greet = app.task('quickstart.greet', { bind: true }, async (self, name: string) => {
  self.log.info({ recipient: name }, 'Writing a letter');
  return `Dear ${name}, this is task ${self.request.id}.`;
});

export const divide = app.task('quickstart.divide', (x: number, y: number) => {
  if (y === 0) throw new RangeError(`${x} cannot be divided by zero`);
  return x / y;
});

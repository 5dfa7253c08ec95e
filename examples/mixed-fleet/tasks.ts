/**
 * The TypeScript half of the fleet, on the queue `typescript`:
 *
 *   npx celery-ts worker -A ./examples/mixed-fleet/tasks.ts -Q typescript -c 2 -l INFO
 */
import { Celery } from 'celery-ts';

export const app = new Celery('fleet', {
  brokerUrl: 'amqp://guest:guest@localhost:5672//',
  resultBackend: 'rpc://',
  taskDefaultQueue: 'typescript',
  taskRoutes: { 'py.*': { queue: 'python' }, 'ts.*': { queue: 'typescript' } },
});

export const slug = app.task('ts.slug', { params: ['text'] }, (text: string) =>
  text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, ''),
);

/** Knows what is to be counted, and leaves the counting to Python: the answer comes under this task's id. */
export const averageLength = app.task('ts.average_length', { bind: true }, (self, words: string[]): number =>
  self.replace(app.signature('py.mean', [words.map((word) => word.length)])),
);

/** An app as users write one, for the test that pools and the product's own tracer fit together. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from '../../../dist/index.js';

export const app = new Celery('pools', { brokerUrl: 'amqp://nobody@127.0.0.1:1//' });

app.task('pools.add', (x, y) => x + y);
app.task('pools.talk', { bind: true }, (self, text) => {
  console.log(text);
  self.log.info({ step: 1 }, 'logged by the task');
});
app.signals.taskPrerun.connect(({ taskId }) => console.log(`prerun ${taskId}`));
app.task('pools.stray', { onFailure: (_self, error) => console.log(`failed by ${error.name}`) }, async () => {
  setTimeout(() => {
    throw new TypeError('escaped');
  }, 5);
  await sleep(5000);
});
app.task('pools.patient', { bind: true }, (self) => sleep(5000, undefined, { signal: self.signal }));
app.signals.workerProcessInit.connect(() => console.log('worker_process_init'));

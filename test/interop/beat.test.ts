/** What our beat sends, a Python worker runs. */
import { describe, expect, it } from 'vitest';
import { beatTasks } from '../integration/beat-support.ts';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { pythonProject } from '../support/python.ts';

describe('a Python worker', () => {
  it('runs what celery-ts beat sends: arguments, options and the header by which Celery marks it', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({
      'tasks.py': `
import os
from celery import Celery
app = Celery('tasks', broker=os.environ['BROKER'])

@app.task(name='tasks.add', bind=True)
def add(self, x, y):
    headers = self.request.headers or {}
    marks = [headers.get('celery_beat_task'), headers.get('celery-ts-entry'), self.request.expires is not None]
    print(f'ADDED {x + y} {marks}', flush=True)
`,
    });
    await using worker = python.celery(['-A', 'tasks', 'worker', '-P', 'solo', '-l', 'INFO'], { BROKER: broker.url });
    await worker.line(/ready\./, 40);
    await using project = await tempProject({
      'tasks.mjs': beatTasks(`
        'often': { task: 'tasks.add', schedule: 0.5, args: [16, 16], options: { expires: 30 } },
        'words': { task: 'tasks.add', schedule: '* * * * * *', kwargs: { x: 1, y: 2 } },
      `),
    });
    await using beat = project.start(['beat', '-A', 'tasks'], { CELERY_BROKER_URL: broker.url });
    await worker.line(/ADDED 32 \[True, 'often', True\]/);
    await worker.line(/ADDED 3 \[True, 'words', False\]/);
    expect((await beat.stop()).code).toBe(0);
  });
});

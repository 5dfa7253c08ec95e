/** The signals of an app itself: about to be configured, configured, complete. */
import { describe, expect, it } from 'vitest';
import { Celery } from '../../../src/index.ts';

describe('the signals of an app', () => {
  it('come in the order of its loading, once, each where settings or tasks can still be added', async () => {
    const app = new Celery('shop');
    const heard: unknown[] = [];
    app.onConfigure.connect(({ sender }) => {
      heard.push(['configure', sender === app]);
      app.configFromObject({ taskDefaultQueue: 'goods' });
    });
    app.onAfterConfigure.connect(({ source }) => {
      heard.push(['configured', source.taskDefaultQueue]);
      app.conf.taskDefaultPriority = 3;
    });
    app.signals.importModules.connect(() => {
      heard.push(['imports', app.conf.taskDefaultPriority]);
      app.task('shop.late', () => 1);
    });
    app.onAfterFinalize.connect(({ sender }) => void heard.push(['complete', sender.tasks.has('shop.late')]));
    await app.loaded;
    await app.loaded;
    expect(heard).toEqual([
      ['configure', true],
      ['configured', 'goods'],
      ['imports', 3],
      ['complete', true],
    ]);
  });
});

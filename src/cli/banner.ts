/** What a starting worker shows: Celery's banner. */
import { maskedUrl, parseBrokerUrls } from '../amqp/index.ts';
import type { Celery } from '../app/index.ts';
import { connectionOptions } from '../app/index.ts';
import { redact } from '../app/redact.ts';
import type { WorkerInfo } from '../worker/index.ts';

/** The banner; with `withTasks` the registered tasks below it. */
export function banner(app: Celery, info: WorkerInfo, version: string, withTasks: boolean): string {
  const { config, system } = app;
  const urls = parseBrokerUrls(connectionOptions(app, 'read', '').urls);
  const rows: [string, string][] = [
    ['app', app.main],
    ['transport', urls.map(maskedUrl).join(', ')],
    ['results', config.resultBackend === undefined ? 'disabled://' : String(redact(config.resultBackend))],
    ['concurrency', `${info.concurrency} (${info.pool})`],
    ['task events', config.workerSendTaskEvents ? 'ON' : 'OFF (enable -E to monitor tasks in this worker)'],
  ];
  const lines = [
    '',
    ` -------------- ${info.nodeName} v${version}`,
    `--- ***** ----- node ${process.versions.node} on ${process.platform}-${process.arch}, ${new Date(system.now()).toISOString().slice(0, 19).replace('T', ' ')}`,
    '',
    '[config]',
    ...rows.map(([name, value]) => `.> ${`${name}:`.padEnd(13)} ${value}`),
    '',
    '[queues]',
    ...info.queues.map((queue) => {
      const { name, type } = queue.exchange;
      return `.> ${queue.name.padEnd(16)} exchange=${name || queue.name}(${type}) key=${queue.routingKey}`;
    }),
  ];
  if (withTasks) {
    lines.push(
      '',
      '[tasks]',
      ...app.tasks
        .names()
        .filter((name) => !name.startsWith('celery.'))
        .map((name) => `  . ${name}`),
    );
  }
  return [...lines, '', ''].join('\n');
}

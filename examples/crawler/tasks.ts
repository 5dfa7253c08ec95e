/**
 * A crawler's two steps, each on a queue of its own behind one topic exchange, so that each can have its own workers.
 *
 *   npx celery-ts worker -A ./examples/crawler/tasks.ts -P async -c 8 --prefetch-multiplier 1 -l INFO
 *
 * Fetching is sorted by priority: with little prefetched, near pages come before far ones. A server that is busy is asked
 * again; what the crawl does not find is a failure, not a retry.
 */
import { Celery, Exchange, Queue } from 'celery-ts';

const pages = new Exchange('crawler', { type: 'topic' });

export const app = new Celery('crawler', {
  brokerUrl: 'amqp://guest:guest@localhost:5672//',
  resultBackend: 'rpc://',
  taskQueues: [
    new Queue('crawler.fetch', { exchange: pages, routingKey: 'page.fetch.#', maxPriority: 10 }),
    new Queue('crawler.parse', { exchange: pages, routingKey: 'page.parse' }),
  ],
  taskDefaultQueue: 'crawler.fetch',
  taskRoutes: {
    'crawler.fetch': { queue: 'crawler.fetch', routingKey: 'page.fetch.html' },
    'crawler.parse': { queue: 'crawler.parse', routingKey: 'page.parse' },
  },
});

/** What parsing makes of a page. */
export interface Parsed {
  readonly url: string;
  readonly title: string;
  readonly links: string[];
}

/** The server asks to come back later. */
class Busy extends Error {
  override readonly name = 'Busy';
}

export const fetchPage = app.task(
  'crawler.fetch',
  { bind: true, autoretryFor: [Busy], defaultRetryDelay: 0, maxRetries: 5, timeLimit: 30, throws: [RangeError] },
  async (self, url: string) => {
    self.log.info({ url, priority: self.request.deliveryInfo?.priority }, 'Fetching');
    const response = await fetch(url, { signal: self.signal });
    if (response.status === 503) throw new Busy(`${url} is busy`);
    if (!response.ok) throw new RangeError(`${url} answers ${response.status}`);
    return { url, html: await response.text() };
  },
);

export const parsePage = app.task('crawler.parse', ({ url, html }: { url: string; html: string }): Parsed => {
  const title = /<title>([^<]*)<\/title>/.exec(html)?.[1] ?? 'untitled';
  const links = [...html.matchAll(/href="([^"#]+)"/g)].map(([, href = '']) => new URL(href, url).href);
  return { url, title, links };
});

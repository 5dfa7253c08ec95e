/**
 * Crawls a small site that it serves itself: fetch → parse → fetch, until nothing new turns up. Needs a worker on tasks.ts.
 *
 *   npm run programs && node build/examples/crawler/crawl.js
 */
import { openSite } from './site.ts';
import { app, fetchPage, parsePage } from './tasks.ts';

const site = await openSite();
const seen = new Set<string>();

/** Fetches a page and follows what it links to. `depth`: clicks from the start. */
async function visit(url: string, depth: number): Promise<void> {
  if (seen.has(url)) return;
  seen.add(url);
  const fetching = await fetchPage.applyAsync([url], { priority: Math.max(0, 9 - depth) });
  const page = await fetching.get({ timeout: 30 }).catch((error: unknown) => String(error).replace(site.url, '/'));
  if (typeof page === 'string') return console.log(`${new URL(url).pathname}: ${page}`);
  const parsing = await parsePage.delay(page);
  const { title, links } = await parsing.get({ timeout: 30 });
  console.log(`${'  '.repeat(depth)}${title} (${links.length} links)`);
  await Promise.all(links.map((link) => visit(link, depth + 1)));
}

try {
  await visit(site.url, 0);
  console.log(`Done: ${seen.size} pages.`);
} finally {
  site.close();
  await app.close();
}

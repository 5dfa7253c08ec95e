/** A site to crawl, on a free port of this machine: pages that link to each other, one that is busy at first, one missing. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const links: Readonly<Record<string, readonly string[]>> = {
  '/': ['/birds', '/trees', '/missing'],
  '/birds': ['/birds/owl', '/birds/wren', '/'],
  '/trees': ['/trees/oak', '/birds'],
  '/birds/owl': ['/birds', '/birds/owl/feathers'],
  '/birds/wren': [],
  '/trees/oak': ['/trees'],
  '/birds/owl/feathers': ['/'],
};

export interface Site {
  readonly url: string;
  close(): void;
}

export async function openSite(): Promise<Site> {
  let asked = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    const found = links[path];
    if (path === '/trees' && ++asked === 1) return response.writeHead(503).end('Come back later');
    if (found === undefined) return response.writeHead(404).end('Not here');
    const anchors = found.map((href) => `<a href="${href}">${href}</a>`).join(' ');
    return response.end(`<!doctype html><title>Page ${path}</title>${anchors}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

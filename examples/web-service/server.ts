/**
 * An HTTP service that hands slow work to a worker and shows how far it is.
 *
 *   npm run programs && PORT=3000 node build/examples/web-service/server.js
 *
 *   POST /thumbnails  { "images": […] }  → 202 { id, events }     the task is sent, and confirmed by the broker
 *   GET  /tasks/<id>/events              → server-sent events     each state, from the present one to the last
 *
 * Results come over `rpc://`, to this process: the handles are kept here. With several processes behind a balancer, set
 * `resultBackend: 'redis://…'` and make the handle from the id: `app.AsyncResult(id)`.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AsyncResult } from 'celery-ts';
import { page } from './page.ts';
import { app, makeThumbnails } from './tasks.ts';

const handles = new Map<string, AsyncResult<string[]>>();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  const id = /^\/tasks\/([^/]+)\/events$/.exec(path)?.[1];
  if (request.method === 'GET' && path === '/') send(response, 200, 'text/html', page);
  else if (request.method === 'POST' && path === '/thumbnails') await enqueue(request, response);
  else if (request.method === 'GET' && id !== undefined) await follow(id, response);
  else send(response, 404, 'text/plain', 'Not here');
}

async function enqueue(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const images = imagesOf(await bodyOf(request));
  if (images === undefined) return send(response, 400, 'text/plain', 'It should be { "images": ["a.png", …] }');
  const handle = await makeThumbnails.delay(images);
  handles.set(handle.id, handle);
  const answer = { id: handle.id, events: `/tasks/${handle.id}/events` };
  send(response, 202, 'application/json', JSON.stringify(answer));
}

async function follow(id: string, response: ServerResponse): Promise<void> {
  const handle = handles.get(id);
  if (handle === undefined) return send(response, 404, 'text/plain', 'No such task');
  const left = new AbortController();
  response.once('close', () => left.abort());
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  try {
    for await (const { state, result } of handle.watch({ signal: left.signal })) {
      const shown = result instanceof Error ? String(result) : result;
      response.write(`data: ${JSON.stringify({ state, result: shown })}\n\n`);
    }
    handles.delete(id);
  } catch (error) {
    if (!left.signal.aborted) throw error; // the browser has gone: nobody to tell
  }
  response.end();
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > 100_000) break;
  }
  return text;
}

function imagesOf(body: string): string[] | undefined {
  try {
    const { images }: { images?: unknown } = JSON.parse(body);
    return Array.isArray(images) && images.every((each) => typeof each === 'string') ? images : undefined;
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(body);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    console.error(error);
    if (!response.headersSent) send(response, 503, 'text/plain', 'The task could not be sent');
    response.end();
  });
});
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
await once(server, 'listening');
console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
server.close();
server.closeAllConnections();
await app.close();
console.log('Closed.');

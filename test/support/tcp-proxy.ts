/**
 * A TCP proxy before a broker, that can be as bad as a network: it ends connections (FIN, RST, in the middle of a
 * frame), refuses new ones, freezes those there are, holds bytes back one way or both, or lets them through slowly.
 */
import { connect, createServer, type Socket } from 'node:net';

export type Direction = 'to broker' | 'to client' | 'both ways';

export interface TcpProxy extends AsyncDisposable {
  /** The target's URL with the proxy's address in it. */
  readonly url: string;
  /** Connections that go through it now, frozen ones included. */
  readonly size: number;
  /** Ends every connection through it (RST); new ones pass. */
  cut(): void;
  /** Ends every connection politely (FIN); new ones pass. */
  fin(): void;
  /** The next bytes to each client are cut in half and followed by RST. */
  halfFrame(): void;
  /** Ends every connection and refuses new ones until `open`. */
  shut(): void;
  open(): void;
  /** Connections there are now fall silent for ever, without RST or FIN; new ones pass. */
  freeze(): void;
  /** Connections there are now are silent until `resume`. */
  stall(direction?: Direction): void;
  resume(): void;
  /** From now on, for all connections: each byte comes so much later, and so many come in a second. */
  slow(link: { readonly latencyMs?: number; readonly bytesPerSecond?: number }): void;
  close(): Promise<void>;
}

interface Link {
  latencyMs: number;
  bytesPerSecond: number;
}

/** Bytes on their way in one direction of one connection. */
class Stream {
  isHeld = false;
  isHalved = false;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #link: Link;
  readonly #waiting: { readonly chunk: Buffer; readonly dueAt: number }[] = [];
  /** When the link is free for the next bytes: a timer that comes late costs no rate. */
  #freeAt = 0;
  #isPumping = false;
  #hasEnded = false;

  constructor(from: Socket, to: Socket, link: Link) {
    this.#from = from;
    this.#to = to;
    this.#link = link;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => {
      this.#hasEnded = true;
      this.#pump();
    });
    to.on('drain', () => this.#pump());
  }

  hold(): void {
    this.isHeld = true;
    this.#from.pause(); // what the kernel takes meanwhile is acknowledged by it: a peer that is there and silent
  }

  release(): void {
    this.isHeld = false;
    this.#from.resume();
    this.#pump();
  }

  #take(chunk: Buffer): void {
    if (this.isHalved) {
      this.#to.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => {
        this.#to.resetAndDestroy();
        this.#from.resetAndDestroy();
      });
      return;
    }
    const { bytesPerSecond, latencyMs } = this.#link;
    const step = Number.isFinite(bytesPerSecond) ? 1024 : chunk.length;
    for (let at = 0; at < chunk.length; at += step) {
      this.#waiting.push({ chunk: chunk.subarray(at, at + step), dueAt: performance.now() + latencyMs });
    }
    if (this.#waiting.length > 64) this.#from.pause();
    this.#pump();
  }

  #pump(): void {
    if (this.#isPumping) return;
    while (!this.isHeld && !this.#to.writableNeedDrain) {
      const next = this.#waiting[0];
      if (next === undefined) break;
      const sendAt = Math.max(next.dueAt, this.#freeAt);
      const waitMs = sendAt - performance.now();
      if (waitMs > 0) return this.#later(waitMs);
      this.#waiting.shift();
      this.#to.write(next.chunk);
      const { bytesPerSecond } = this.#link;
      this.#freeAt = Number.isFinite(bytesPerSecond) ? sendAt + (next.chunk.length * 1000) / bytesPerSecond : 0;
    }
    if (this.isHeld || this.#waiting.length > 0) return;
    if (this.#hasEnded) this.#to.end();
    else this.#from.resume();
  }

  #later(delayMs: number): void {
    this.#isPumping = true;
    const timer = setTimeout(() => {
      this.#isPumping = false;
      this.#pump();
    }, delayMs);
    timer.unref();
  }
}

export async function tcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const link: Link = { latencyMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
  const sockets = new Set<Socket>();
  const pairs = new Set<{ readonly toBroker: Stream; readonly toClient: Stream }>();
  let isShut = false;
  const server = createServer({ allowHalfOpen: true }, (inbound) => {
    if (isShut) return void inbound.resetAndDestroy();
    const outbound = connect({ port: Number(port === '' ? 5672 : port), host: hostname, allowHalfOpen: true });
    const pair = { toBroker: new Stream(inbound, outbound, link), toClient: new Stream(outbound, inbound, link) };
    pairs.add(pair);
    for (const [socket, other] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        pairs.delete(pair);
        if (!pair.toBroker.isHeld && !pair.toClient.isHeld) other.destroySoon();
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(typeof address === 'object' && address !== null ? address.port : 0);
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const hold = (direction: Direction): void => {
    for (const { toBroker, toClient } of pairs) {
      if (direction !== 'to client') toBroker.hold();
      if (direction !== 'to broker') toClient.hold();
    }
  };
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    cut();
    await closed;
  };
  return {
    url: url.href,
    get size() {
      return pairs.size;
    },
    cut,
    fin: () => {
      for (const socket of sockets) socket.end();
    },
    halfFrame: () => {
      for (const { toClient } of pairs) toClient.isHalved = true;
    },
    shut: () => {
      isShut = true;
      cut();
    },
    open: () => {
      isShut = false;
    },
    freeze: () => {
      hold('both ways');
      pairs.clear();
    },
    stall: (direction = 'both ways') => hold(direction),
    resume: () => {
      for (const { toBroker, toClient } of pairs) {
        toBroker.release();
        toClient.release();
      }
    },
    slow: ({ bytesPerSecond, latencyMs }) => {
      link.latencyMs = latencyMs ?? 0;
      link.bytesPerSecond = bytesPerSecond ?? Number.POSITIVE_INFINITY;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A TCP proxy before a broker: cuts the connections that go through it, and keeps new ones out as long as told. */
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  /** The target's URL with the proxy's address in it. */
  readonly url: string;
  /** Ends every connection through it (RST); new ones pass. */
  cut(): void;
  /** Ends every connection and refuses new ones until `open`. */
  shut(): void;
  open(): void;
  close(): Promise<void>;
}

export async function tcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isShut = false;
  const server = createServer((inbound) => {
    if (isShut) return void inbound.resetAndDestroy();
    const outbound = connect(Number(port === '' ? 5672 : port), hostname);
    for (const [socket, other] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
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
  const close = async (): Promise<void> => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    url: url.href,
    cut,
    shut: () => {
      isShut = true;
      cut();
    },
    open: () => {
      isShut = false;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

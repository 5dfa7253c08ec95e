/** A connection pair as an app has it, for tests of the rooms between `amqp/` and `app/`. */
import { Connection, Publisher } from '../../src/amqp/index.ts';
import { CloseStack } from '../../src/core/close-stack.ts';
import { nodeSystem, type System } from '../../src/core/system.ts';
import { type TestLogger, testLogger } from './logger.ts';

export interface AmqpPair extends AsyncDisposable {
  readonly system: System;
  readonly logger: TestLogger;
  /** For consuming. */
  readonly connection: Connection;
  /** On a connection of its own. */
  readonly publisher: Publisher;
  /** As backends and mailboxes are given it. */
  readonly broker: { publisher(): Promise<Publisher>; connection(): Promise<Connection> };
  close(): Promise<void>;
}

/** Open when it is given. Closed newest first. */
export async function amqpPair(url: string, options: { heartbeatSeconds?: number } = {}): Promise<AmqpPair> {
  const logger = testLogger();
  const system = nodeSystem({ log: logger.log });
  const opened = new CloseStack();
  const connect = async (name: string): Promise<Connection> => {
    const connection = opened.adopt(
      new Connection({ urls: url, name, heartbeatSeconds: options.heartbeatSeconds ?? 30, system }),
    );
    await connection.connect();
    return connection;
  };
  const connection = await connect('test consuming');
  const publishing = await connect('test publishing');
  const publisher = opened.adopt(new Publisher(publishing, { system }));
  return {
    system,
    logger,
    connection,
    publisher,
    broker: { publisher: async () => publisher, connection: async () => connection },
    close: () => opened.close(),
    [Symbol.asyncDispose]: () => opened.close(),
  };
}

/**
 * Who a client says it is: the SASL mechanisms PLAIN and AMQPLAIN (a table of LOGIN and PASSWORD), as RabbitMQ offers them.
 */
import { Buffer } from 'node:buffer';
import { ByteReader, ByteWriter } from './wire/bytes.ts';
import { readTable, textOf } from './wire/field-table.ts';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export const mechanisms = 'AMQPLAIN PLAIN';

/** What the response of `connection.start-ok` holds, or nothing if it cannot be read. */
export function readCredentials(mechanism: string, response: Buffer): Credentials | undefined {
  if (mechanism === 'PLAIN') {
    const [, user, password] = response.toString().split('\0');
    return user === undefined || password === undefined ? undefined : { user, password };
  }
  const table = readAmqplain(response);
  const user = textOf(table.get('LOGIN'));
  const password = textOf(table.get('PASSWORD'));
  return user === undefined || password === undefined ? undefined : { user, password };
}

/** The table comes without the size that stands before every other table. */
function readAmqplain(response: Buffer): ReturnType<typeof readTable> {
  const writer = new ByteWriter(response.length + 4);
  writer.longstr(response);
  return readTable(new ByteReader(Buffer.from(writer.view())));
}

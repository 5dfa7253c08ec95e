/**
 * What the broker, the network and amqplib say when something fails, told as our errors: what was wrong, what was
 * there instead, and the cure. The one place that reads other people's error texts; they are RabbitMQ's, and stable
 * since 3.0. The original is kept as `cause`.
 */
import {
  AccessRefused,
  CeleryError,
  DeclarationMismatch,
  ImproperlyConfigured,
  OperationalError,
} from '../core/errors.ts';
import { explainTlsError } from './tls-errors.ts';
import { type BrokerUrl, hostAndPort, maskedUrl } from './url.ts';

/** AMQP reply codes that this room tells apart. */
export const replyCode = {
  accessRefused: 403,
  notFound: 404,
  resourceLocked: 405,
  preconditionFailed: 406,
  commandInvalid: 503,
  notAllowed: 530,
} as const;

/** The AMQP reply code that amqplib leaves on its errors. */
export function codeOf(error: unknown): number | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'number' ? code : undefined;
}

/** Trying again does not help: a person has to change something. */
export function needsAPerson(error: unknown): boolean {
  return error instanceof AccessRefused || error instanceof ImproperlyConfigured;
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Why one attempt to connect failed. */
export function explainConnectError(thrown: unknown, url: BrokerUrl, limitSeconds: number): CeleryError {
  if (thrown instanceof CeleryError) return thrown;
  const error = asError(thrown);
  const cause = { cause: error };
  const where = hostAndPort(url);
  const systemCode = 'code' in error && typeof error.code === 'string' ? error.code : '';

  if (error.message.includes('403 (ACCESS-REFUSED)')) {
    return new AccessRefused(
      `The broker at ${where} refused the user '${url.username}': wrong user name or password, or one that may not log in from here (guest may only on the broker's own machine). Check brokerUrl.`,
      cause,
    );
  }
  // amqplib drops the text of this refusal; RabbitMQ has three reasons for it.
  if (error.message.startsWith('Expected ConnectionOpenOk; got <ConnectionClose')) {
    return new AccessRefused(
      `The broker at ${where} refused the virtual host '${url.vhost}' to the user '${url.username}': there is none of that name, the user has no permission on it, or it is full. Cure: rabbitmqctl add_vhost '${url.vhost}' and rabbitmqctl set_permissions -p '${url.vhost}' '${url.username}' '.*' '.*' '.*', or another brokerUrl.`,
      cause,
    );
  }
  if (error.message.startsWith('SASL mechanism')) {
    return new AccessRefused(`The broker at ${where} does not offer that login method (${error.message}).`, cause);
  }
  switch (systemCode) {
    case 'ECONNREFUSED':
      return new OperationalError(
        `No broker listens at ${where} (connection refused). Start RabbitMQ there, or set brokerUrl to where it is.`,
        cause,
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new OperationalError(
        `The broker's host '${url.hostname}' is not known (${systemCode}). Check brokerUrl and the name service.`,
        cause,
      );
    case 'ETIMEDOUT':
    case 'ABORT_ERR':
      return new OperationalError(
        `The broker at ${where} did not answer within ${limitSeconds} s. Check host, port and firewall in between.`,
        cause,
      );
    default:
  }
  const aboutTls = explainTlsError(error, url);
  if (aboutTls !== undefined) return aboutTls;
  if (error.message.includes('Frame size') || error.message.startsWith('Expected ConnectionStart')) {
    return new OperationalError(`What answers at ${where} does not speak AMQP 0-9-1. Check host and port.`, cause);
  }
  if (error.message.startsWith('Socket closed abruptly') || systemCode === 'ECONNRESET') {
    const guess = url.tls ? '' : ' Does it want TLS (amqps://)?';
    return new OperationalError(`The broker at ${where} hung up before the connection was open.${guess}`, cause);
  }
  return new OperationalError(`Connecting to ${maskedUrl(url)} failed: ${error.message}`, cause);
}

/** Why an open connection ended. */
export function explainLoss(thrown: unknown, where: string): OperationalError {
  if (thrown instanceof OperationalError) return thrown;
  const text = thrown === undefined ? 'closed' : asError(thrown).message;
  return new OperationalError(`The connection to ${where} was lost: ${text}`, { cause: thrown });
}

/** Why declaring, binding or consuming failed. `subject` starts a sentence: `Queue 'add'`. */
export function explainChannelError(thrown: unknown, subject: string): CeleryError {
  if (thrown instanceof CeleryError) return thrown;
  const error = asError(thrown);
  const cause = { cause: error };
  if (error.message.includes('transient_nonexcl_queues')) {
    return new ImproperlyConfigured(
      `${subject} is neither durable nor exclusive, and this broker takes no such queues (RabbitMQ 4). Make it durable, or exclusive to its connection.`,
      cause,
    );
  }
  switch (codeOf(error)) {
    case replyCode.preconditionFailed:
      return mismatch(error) ?? new ImproperlyConfigured(`${subject}: the broker refused it: ${said(error)}`, cause);
    case replyCode.accessRefused: {
      if (/reserved prefix|reserved name/.test(error.message)) {
        return new ImproperlyConfigured(`${subject}: names that begin with 'amq.' belong to the broker.`, cause);
      }
      if (error.message.includes('in exclusive use')) {
        return new OperationalError(`${subject} has another consumer that allows none beside it.`, cause);
      }
      return new AccessRefused(
        `${subject}: the broker refused it for want of permission: ${said(error)}. Cure: rabbitmqctl set_permissions.`,
        cause,
      );
    }
    case replyCode.notFound:
      return new OperationalError(`${subject}: ${said(error)}. It is declared elsewhere, or was deleted.`, cause);
    case replyCode.resourceLocked:
      return new OperationalError(`${subject} belongs to another connection (exclusive): ${said(error)}`, cause);
    case replyCode.commandInvalid:
      return new ImproperlyConfigured(
        `${subject}: ${said(error)}. The broker does not know it: is a plugin to be enabled?`,
        cause,
      );
    default:
      return new OperationalError(`${subject}: ${said(error)}`, cause);
  }
}

/** The name of the exchange that a 404 or 403 on publishing is about, if the text tells. */
export function exchangeAtFault(error: unknown): string | undefined {
  const match = /(?:no|to|internal) exchange '(.*?)' in vhost/.exec(asError(error).message);
  return match?.[1];
}

/** What the broker said, without amqplib's and AMQP's wrapping. */
function said(error: Error): string {
  return /with message "(?:[A-Z_]+ - )?(.*)"$/s.exec(error.message)?.[1] ?? error.message;
}

/** `inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'` and its kin. */
function mismatch(error: Error): DeclarationMismatch | undefined {
  const match =
    /inequivalent arg '(.+?)' for (queue|exchange) '(.*)' in vhost '.*?': received (.+) but current is (.+?)"?$/s.exec(
      error.message,
    );
  if (match === null) return undefined;
  const [, argument = '', kind = '', name = '', wanted = '', there = ''] = match;
  const what = kind === 'queue' ? 'Queue' : 'Exchange';
  return new DeclarationMismatch(
    `${what} '${name}' is on the broker with another '${argument}': the app declares ${value(wanted)}, the broker has ${value(there)}. Declare it as it is there, or delete it (celery-ts amqp ${kind}.delete ${name}) and let it be made anew.`,
    { cause: error },
  );
}

/** `the value '10' of type 'signedint'` → `10`; `none` stays. */
function value(text: string): string {
  return /^(?:the value )?'(.*?)'(?: of type '.*')?$/s.exec(text)?.[1] ?? text;
}

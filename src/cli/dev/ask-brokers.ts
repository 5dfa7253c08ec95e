/** Who answers at an app's broker addresses: asked with the app's own settings, so TLS and login are its own, too. */
import { brokerVersion, Connection, parseBrokerUrls } from '../../amqp/index.ts';
import { type Celery, connectionOptions } from '../../app/index.ts';
import { AccessRefused } from '../../core/errors.ts';
import type { Answer, Asked } from './broker-plan.ts';

const limitSeconds = 3;

export async function askBrokers(app: Celery): Promise<readonly Asked[]> {
  const options = connectionOptions(app, 'write', 'celery-ts dev');
  const texts = [options.urls].flat().flatMap((text) => text.split(';'));
  const asked: Asked[] = [];
  for (const text of texts.filter((each) => each.trim() !== '')) {
    const answer = await ask({ ...options, urls: text, connectTimeoutSeconds: limitSeconds, retry: { startup: 0 } });
    const usesTls = options.tls !== undefined && options.tls !== false;
    asked.push(...parseBrokerUrls(text).map((url) => ({ url: usesTls ? { ...url, tls: true } : url, answer })));
    if (answer.kind === 'open') break;
  }
  return asked;
}

async function ask(options: ConstructorParameters<typeof Connection>[0]): Promise<Answer> {
  const connection = new Connection(options);
  try {
    await connection.connect();
    return { kind: 'open', ...(await brokerVersion(connection)) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof AccessRefused) return { kind: 'refused', message };
    return isRefusedConnection(error) ? { kind: 'nobody' } : { kind: 'failed', message };
  } finally {
    await connection.close();
  }
}

function isRefusedConnection(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === 'ECONNREFUSED') return true;
  }
  return false;
}

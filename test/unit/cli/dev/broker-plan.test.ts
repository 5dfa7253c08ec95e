import { describe, expect, it } from 'vitest';
import { parseBrokerUrls } from '../../../../src/amqp/index.ts';
import { type Answer, isThisMachine, listenAddress, planBroker } from '../../../../src/cli/dev/broker-plan.ts';

const nobody: Answer = { kind: 'nobody' };
const rabbit: Answer = { kind: 'open', product: 'RabbitMQ', version: '4.1.0' };
const unknown: Answer = { kind: 'failed', message: "The broker's host 'rabbit' is not known." };

function plan(...asked: readonly (readonly [url: string, answer: Answer])[]): ReturnType<typeof planBroker> {
  return planBroker(asked.flatMap(([text, answer]) => parseBrokerUrls(text).map((url) => ({ url, answer }))));
}

describe('the broker of celery-ts dev', () => {
  it('is the one that answers at the URL of the app, near or far', () => {
    expect(plan(['amqp://localhost//', rabbit])).toMatchObject({ kind: 'use', product: 'RabbitMQ 4.1.0' });
    expect(plan(['amqps://rabbit.example//', rabbit])).toMatchObject({
      kind: 'use',
      url: { hostname: 'rabbit.example' },
    });
    expect(plan(['amqp://one//', unknown], ['amqp://two//', rabbit])).toMatchObject({ url: { hostname: 'two' } });
    expect(plan(['amqp://localhost//', nobody], ['amqp://two//', rabbit])).toMatchObject({ kind: 'use' });
  });

  it.each([
    'amqp://localhost//',
    'amqp://me:secret@127.0.0.1:5679/shop',
    'amqp://[::1]:5673//',
    'amqp://rabbit.localhost',
  ])('stands in on this machine where nobody listens: %s', (text) => {
    expect(plan([text, nobody])).toEqual({ kind: 'embed', url: parseBrokerUrls(text)[0] });
  });

  it.each<readonly [string, Answer, number, RegExp]>([
    [
      'amqp://rabbit:5672//',
      unknown,
      69,
      /amqp:\/\/guest:\*\*@rabbit:5672\/\/ does not answer\. The broker's host .* on this machine only\. .*CELERY_BROKER_URL=amqp:\/\/localhost/,
    ],
    [
      'amqp://10.0.0.7//',
      nobody,
      69,
      /does not answer\. The broker of celery-ts dev takes the place of brokers on this machine only/,
    ],
    ['amqps://localhost//', nobody, 69, /has no TLS/],
    [
      'amqp://localhost//',
      { kind: 'failed', message: 'What answers there does not speak AMQP 0-9-1.' },
      69,
      /does not speak AMQP 0-9-1\. .*cannot listen there/,
    ],
    [
      'amqp://me:wrong@localhost//',
      { kind: 'refused', message: 'The broker refused the user.' },
      77,
      /^The broker refused the user\.$/,
    ],
  ])('is given up with what to do: %s', (text, answer, exitCode, message) => {
    expect(plan([text, answer])).toEqual({ kind: 'give up', exitCode, message: expect.stringMatching(message) });
  });

  it('shows no password', () => {
    expect(JSON.stringify(plan(['amqp://me:secret@rabbit//', unknown]))).not.toMatch(/secret/);
  });
});

describe('an address', () => {
  it('is of this machine when nobody else reaches it', () => {
    expect(
      ['localhost', '127.0.0.1', '127.1.2.3', '::1', 'LOCALHOST', 'a.localhost'].filter(isThisMachine),
    ).toHaveLength(6);
    expect(['rabbit', '10.0.0.1', '0.0.0.0', '127.example.com', 'localhost.example'].filter(isThisMachine)).toEqual([]);
  });

  it('is listened on where clients that use it look', () => {
    expect(['localhost', 'a.localhost', '127.0.0.2', '::1'].map(listenAddress)).toEqual([
      '127.0.0.1',
      '127.0.0.1',
      '127.0.0.2',
      '::1',
    ]);
  });
});

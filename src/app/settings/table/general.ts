/** Settings of everything: content, time, signing. */
import { flag, seconds, shaped, text, texts, unfit } from '../setting.ts';
import { identity, octal, startedBefore } from './daemon.ts';

export const general = {
  acceptContent: texts(
    ['json'],
    'Serializers (names or content types) that are decoded; anything else is refused. Holds for tasks, control and events.',
    { old: ['CELERY_ACCEPT_CONTENT'] },
  ),
  enableUtc: flag(true, 'Times in messages are UTC. Off, with no `timezone`: the zone of the host.', {
    old: ['CELERY_ENABLE_UTC', 'ENABLE_UTC'],
  }),
  timezone: shaped<string | undefined>(
    'IANA time zone',
    undefined,
    'The zone of schedules and of times without one. Unset: UTC.',
    timeZone,
    { old: ['CELERY_TIMEZONE'] },
  ),
  imports: texts([], 'Modules loaded when a worker starts (beat, shell and report too), in this order.', {
    old: ['CELERY_IMPORTS'],
  }),
  include: texts([], 'Modules loaded after `imports`; `-I` adds to it.', { old: ['CELERY_INCLUDE'] }),
  securityCertificate: text(undefined, 'File with the certificate that messages are signed with.', {
    old: ['CELERY_SECURITY_CERTIFICATE'],
  }),
  securityCertStore: text(undefined, 'Folder or glob of the certificates that are trusted.', {
    old: ['CELERY_SECURITY_CERT_STORE'],
  }),
  securityKey: text(undefined, 'File with the private key that messages are signed with.', {
    old: ['CELERY_SECURITY_KEY'],
    secret: true,
  }),
  securityKeyPassword: shaped<string | Uint8Array | undefined>(
    'string | Uint8Array',
    undefined,
    'Password of the private key.',
    (value) => (typeof value === 'string' || value instanceof Uint8Array ? value : unfit('text or bytes', '(hidden)')),
    { old: ['CELERY_SECURITY_KEY_PASSWORD'], secret: true },
  ),
  securityDigest: text('sha256', 'Digest of signatures.', { old: ['CELERY_SECURITY_DIGEST'] }),
} as const;

function timeZone(value: unknown): string {
  if (typeof value !== 'string') return unfit("the name of a time zone, such as 'Europe/London'", value);
  try {
    new Intl.DateTimeFormat('en', { timeZone: value });
    return value;
  } catch {
    return unfit("a time zone of the IANA database, such as 'Europe/London'", value);
  }
}

/** Settings of remote control and events. */
export const control = {
  controlQueueTtl: seconds(300, 'How long a message stays in a control or reply queue (`x-message-ttl`).'),
  controlQueueExpires: seconds(10, 'How long an unused control or reply queue stays (`x-expires`).', { min: 0.001 }),
  controlQueueExclusive: flag(true, 'Control queues belong to one connection. Not with `controlQueueDurable`.'),
  controlQueueDurable: flag(false, 'Control exchange and queues survive the broker. Not with `controlQueueExclusive`.'),
  controlExchange: text('celery', 'Control exchanges are called `<this>.pidbox` and `reply.<this>.pidbox`.'),
  eventQueueExpires: seconds(60, "How long a monitor's unused event queue stays (`x-expires`).", {
    old: ['CELERY_EVENT_QUEUE_EXPIRES'],
    min: 0.001,
  }),
  eventQueueTtl: seconds(5, "How long an event stays in a monitor's queue (`x-message-ttl`).", {
    old: ['CELERY_EVENT_QUEUE_TTL'],
  }),
  eventQueuePrefix: text('celeryev', "What names of monitors' queues begin with.", {
    old: ['CELERY_EVENT_QUEUE_PREFIX'],
  }),
  eventQueueExclusive: flag(true, "Monitors' queues belong to one connection. Not with `eventQueueDurable`.", {
    old: ['CELERY_EVENT_QUEUE_EXCLUSIVE'],
  }),
  eventQueueDurable: flag(false, "Monitors' queues survive the broker. Not with `eventQueueExclusive`.", {
    old: ['CELERY_EVENT_QUEUE_DURABLE'],
  }),
  eventSerializer: text('json', 'Serializer of events.', { old: ['CELERY_EVENT_SERIALIZER'] }),
  eventExchange: text('celeryev', 'Topic exchange that events are published to.', { old: ['CELERY_EVENT_EXCHANGE'] }),
  taskSendSentEvent: flag(false, 'Publish a `task-sent` event for every task sent.', {
    old: ['CELERY_SEND_TASK_SENT_EVENT'],
  }),
  eventsLogfile: text(undefined, 'Log file of `celery-ts events` when no flag names one.'),
  eventsPidfile: text(undefined, 'Pid file of `celery-ts events` when no flag names one.'),
  eventsUid: identity('User that `celery-ts events` becomes when no flag names one.'),
  eventsGid: identity('Group that `celery-ts events` becomes when no flag names one.'),
  eventsUmask: octal('File mode mask of `celery-ts events` when no flag gives one, octal.'),
  eventsExecutable: text(undefined, 'Celery: program that runs `celery-ts events` when detached.', startedBefore),
} as const;

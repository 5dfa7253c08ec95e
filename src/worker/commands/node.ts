/** Commands about the worker as a whole: is it there, what is it made of, how is it set. */
import { parseBrokerUrls } from '../../amqp/index.ts';
import { connectionOptions } from '../../app/index.ts';
import { redactSettings } from '../../app/redact.ts';
import { celeryNames } from '../../app/settings.ts';
import { noReply } from '../../control/index.ts';
import { decodeHelloArguments, encodeHelloReply } from '../../message/index.ts';
import { toldOf } from '../consumer/mingle.ts';
import { amqpCounters, blockedReason, tallies } from '../counters.ts';
import { versionReport } from '../version.ts';
import type { CommandHost, WorkerCommand } from './host.ts';

export const nodeCommands: Readonly<Record<string, WorkerCommand>> = {
  ping: () => ({ ok: 'pong' }),
  clock: ({ clock }) => ({ clock: clock.forward() }),
  report: ({ app }) => ({ ok: versionReport(app) }),
  conf: ({ app }, { with_defaults }) => {
    const { config, given } = app.settings.resolve();
    const shown = Object.entries(config).filter(([name]) => with_defaults === true || given.has(name as never));
    return plain(redactSettings(celeryNames(Object.fromEntries(shown))));
  },
  stats,
  hello: (host, args) => {
    const { fromNode, revoked } = decodeHelloArguments(args);
    if (fromNode === host.nodeName) return null;
    const now = host.app.system.now();
    host.revoked.add(revoked.keys(), now);
    return encodeHelloReply({ revoked: toldOf(host.revoked, now), clock: host.clock.forward() });
  },
  memsample: () => `${(process.memoryUsage().rss / 1024 ** 2).toFixed(3)}MB`,
  memdump: () => `${(process.memoryUsage().rss / 1024 ** 2).toFixed(3)}MB`,
  objgraph: () => ({ error: 'Object graphs are a tool of Python; use node --inspect and its heap snapshots.' }),
  heartbeat: ({ heartbeat }) => {
    heartbeat.announce();
    return null;
  },
  shutdown: ({ shutdown }, { msg }) => {
    shutdown(typeof msg === 'string' ? msg : 'Got shutdown from remote');
    return noReply;
  },
  election: ({ gossip }, { action, id, topic }) => {
    gossip?.elect(String(id), String(topic), action);
    return null;
  },
};

function stats(host: CommandHost): unknown {
  const { app, clock, pool, tasks, consumer, autoscaler } = host;
  const usage = process.resourceUsage();
  return {
    total: Object.fromEntries(tasks.counts.total),
    ...(autoscaler === undefined ? {} : { autoscaler: autoscaler.stats() }),
    pid: app.system.pid,
    clock: String(clock.value),
    uptime: Math.round((app.system.now() - host.startedAt) / 1000),
    pool: pool.stats(),
    broker: brokerOf(host),
    prefetch_count: consumer.prefetch,
    rusage: {
      utime: usage.userCPUTime / 1e6,
      stime: usage.systemCPUTime / 1e6,
      maxrss: usage.maxRSS,
      ixrss: usage.sharedMemorySize,
      idrss: usage.unsharedDataSize,
      isrss: usage.unsharedStackSize,
      minflt: usage.minorPageFault,
      majflt: usage.majorPageFault,
      nswap: usage.swappedOut,
      inblock: usage.fsRead,
      oublock: usage.fsWrite,
      msgsnd: usage.ipcSent,
      msgrcv: usage.ipcReceived,
      nsignals: usage.signalsCount,
      nvcsw: usage.voluntaryContextSwitches,
      nivcsw: usage.involuntaryContextSwitches,
    },
    ...Object.fromEntries(tallies(app, tasks.counts).map(({ stat, value }) => [stat, value])),
    parked: tasks.waiting.parked,
    blocked: blockedReason(app) ?? null,
    amqp: amqpCounters(app, host.connection),
  };
}

function brokerOf({ app }: CommandHost): Record<string, unknown> {
  const { config } = app;
  const [url, ...alternates] = parseBrokerUrls(connectionOptions(app, 'read', '').urls);
  return {
    hostname: url?.hostname,
    userid: url?.username,
    virtual_host: url?.vhost,
    port: url?.port,
    insist: false,
    ssl: url?.tls ?? false,
    transport: 'amqp',
    credential_provider: null,
    connect_timeout: config.brokerConnectionTimeout,
    transport_options: {},
    login_method: config.brokerLoginMethod ?? 'PLAIN',
    uri_prefix: null,
    heartbeat: config.brokerHeartbeat,
    failover_strategy:
      typeof config.brokerFailoverStrategy === 'function' ? 'custom' : (config.brokerFailoverStrategy ?? 'round-robin'),
    alternates: alternates.map(({ hostname, port }) => `${hostname}:${port}`),
  };
}

/** Values fit for JSON: what is no data becomes text. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, inner: unknown) =>
      typeof inner === 'bigint' || typeof inner === 'function' ? String(inner) : inner,
    ),
  );
}

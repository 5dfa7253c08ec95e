/** What this worker is made of, as text. */
import type { Celery } from '../app/index.ts';
import { redactSettings } from '../app/redact.ts';
import { celeryNames } from '../app/settings.ts';
import { packageVersion } from '../core/package-version.ts';

/** Versions and settings for a bug report; no secret in it. */
export function versionReport(app: Celery): string {
  const { config, given } = app.settings.resolve();
  const settings = Object.fromEntries(Object.entries(config).filter(([name]) => given.has(name as never)));
  const rows = Object.entries(redactSettings(celeryNames(settings))).map(([name, value]) => `${name}: ${shown(value)}`);
  const { node, openssl, v8 } = process.versions;
  const results =
    config.resultBackend === undefined
      ? 'disabled'
      : shown(redactSettings({ result_backend: config.resultBackend }).result_backend);
  return [
    '',
    `software -> celery-ts:${packageVersion()} node:${node} v8:${v8} openssl:${openssl}`,
    `platform -> system:${process.platform} arch:${process.arch}`,
    `app      -> ${app.main} (${app.tasks.size} tasks)`,
    `settings -> transport:amqp results:${results}`,
    '',
    ...rows,
    '',
  ].join('\n');
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  const text = JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner));
  return text ?? String(value);
}

/** `celery-ts report`: what a bug report needs to know of the software and the settings; no secret in it. */
import { Command } from 'commander';
import { redact } from '../../app/redact.ts';
import { celeryNames } from '../../app/settings.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { packageVersion } from '../main.ts';
import type { DefineCommand } from '../program.ts';

export const reportCommand: DefineCommand = (context, run) =>
  new Command('report')
    .description('print versions and settings for a bug report; secrets are masked')
    .action((_options: object, command: Command) => run(report(context, command)));

async function report(context: CommandContext, command: Command): Promise<number> {
  const { app } = await loadCommandApp(context, command, { optional: true });
  const { config, given } = app.settings.resolve();
  const settings = Object.fromEntries(Object.entries(config).filter(([name]) => given.has(name as never)));
  const masked = redact(celeryNames(settings)) as Record<string, unknown>;
  say(
    context,
    `\nsoftware -> celery-ts:${packageVersion()} node:${process.versions.node} v8:${process.versions.v8} openssl:${process.versions.openssl}`,
  );
  say(context, `platform -> system:${process.platform} arch:${process.arch}`);
  say(context, `app      -> ${app.main} (${app.tasks.size} tasks)`);
  say(
    context,
    `settings -> transport:amqp results:${config.resultBackend === undefined ? 'disabled' : String(redact(config.resultBackend))}\n`,
  );
  for (const [name, value] of Object.entries(masked)) say(context, `${name}: ${show(value)}`);
  say(context, '');
  return 0;
}

function show(value: unknown): string {
  return typeof value === 'string'
    ? `'${value}'`
    : (JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? String(value));
}

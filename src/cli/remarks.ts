/** What is worth saying of the settings when a program starts that runs on: once, whatever is done with it later. */
import type { Celery } from '../app/index.ts';
import type { Logger } from '../core/system.ts';

/** Logs which settings were given and change nothing here, and which have a successor. */
export function reportRemarks(app: Celery, log: Logger): void {
  const { deprecated, noEffect } = app.settings.resolve();
  if (noEffect.length > 0) {
    log.warn({ settings: byName(noEffect) }, 'Settings were given that have no effect in celery-ts');
  }
  if (deprecated.length > 0) log.warn({ settings: byName(deprecated) }, 'Settings were given that have a successor');
}

function byName(remarks: readonly { readonly name: string; readonly why: string }[]): Record<string, string> {
  return Object.fromEntries(remarks.map(({ name, why }) => [name, why]));
}

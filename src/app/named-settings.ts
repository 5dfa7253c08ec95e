/**
 * Settings that may name a function or object of the user's by module and export: `taskRoutes`, `taskAnnotations`,
 * `redisBackendCredentialProvider`.
 * They are loaded with the app, once what they name can be imported.
 */
import type { TaskAnnotations } from '../task/index.ts';
import { loadRoutes, needsLoading } from './routes.ts';
import type { Config, ConfigInput } from './settings.ts';

/** The same settings with what they name in place; undefined when none names anything. */
export async function loadNamed(
  config: Pick<Config, 'redisBackendCredentialProvider' | 'taskAnnotations' | 'taskRoutes'>,
  load: (path: string) => Promise<unknown>,
): Promise<ConfigInput | undefined> {
  const { redisBackendCredentialProvider, taskAnnotations, taskRoutes } = config;
  const changes: Record<string, unknown> = {};
  if (typeof redisBackendCredentialProvider === 'string') {
    changes.redisBackendCredentialProvider = await load(redisBackendCredentialProvider);
  }
  if (needsLoading(taskRoutes)) changes.taskRoutes = await loadRoutes(taskRoutes, load);
  if (namesExports(taskAnnotations)) {
    const entries: readonly unknown[] = Array.isArray(taskAnnotations) ? taskAnnotations : [taskAnnotations];
    const loaded = await Promise.all(entries.map((entry) => (typeof entry === 'string' ? load(entry) : entry)));
    changes.taskAnnotations = loaded.flat();
  }
  return Object.keys(changes).length === 0 ? undefined : changes;
}

function namesExports(annotations: TaskAnnotations | undefined): boolean {
  const isText = (entry: unknown): boolean => typeof entry === 'string';
  return Array.isArray(annotations) ? annotations.some(isText) : isText(annotations);
}

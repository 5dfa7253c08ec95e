/**
 * Finds the user's app: by `-A`, by CELERY_APP, by package.json, or by the usual file names; says what it tried.
 * Returns its location too, as plain values, so that a child process loads exactly the same with `loadApp`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ImproperlyConfigured } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { Celery, isApp } from './celery.ts';
import { shownPath } from './load-error.ts';
import {
  fileCandidates,
  importFile,
  isPath,
  type ModuleExports,
  parseExportPath,
  resolveModule,
} from './load-module.ts';
import type { Environment } from './settings.ts';

/** Where an app is; survives JSON. */
export type AppLocation =
  /** `exportName` may be a path into an export: `default.app`. */
  | { readonly kind: 'app'; readonly path: string; readonly exportName: string }
  /** A module of settings, of which an app is made. */
  | { readonly kind: 'config'; readonly path: string };

export interface FoundApp {
  readonly app: Celery;
  readonly location: AppLocation;
}

export interface Surroundings {
  /** Names and relative paths are looked for here. */
  readonly cwd: string;
  readonly env: Environment;
}

/**
 * Finds and loads the app.
 * @param spec What `-A` says: `./src/tasks.ts`, `./src/tasks.ts:name`, `tasks`, `pkg.mod:name`. Undefined: looks around.
 * @throws {ImproperlyConfigured} when no app is found (lists what was tried) or a module cannot be loaded (names file,
 * line and column). Celery: `celery.app.utils.find_app`.
 */
export async function findApp(spec: string | undefined, around: Surroundings): Promise<FoundApp> {
  if (spec !== undefined && spec !== '') return bySpec(spec, around.cwd, `-A ${spec}`);
  const fromEnv = around.env.CELERY_APP;
  if (fromEnv !== undefined && fromEnv !== '') return bySpec(fromEnv, around.cwd, `CELERY_APP=${fromEnv}`);
  const fromPackage = packageApp(around.cwd);
  if (fromPackage !== undefined) {
    return bySpec(
      fromPackage.spec,
      fromPackage.folder,
      `"celery": { "app": "${fromPackage.spec}" } in ${fromPackage.file}`,
    );
  }
  return byUsualNames(around);
}

/**
 * Loads an app from where `findApp` found it.
 * @throws {ImproperlyConfigured} when the module cannot be loaded or has no app there.
 */
export async function loadApp(location: AppLocation): Promise<Celery> {
  const cwd = dirname(location.path);
  const exports = await importFile(location.path, cwd);
  if (location.kind === 'config') return appOfConfig(exports, location.path);
  const app = valueAt(exports, location.exportName);
  if (isApp(app)) return app;
  throw new ImproperlyConfigured(`${location.path} has no Celery app '${location.exportName}' any more.`);
}

async function bySpec(spec: string, cwd: string, asked: string): Promise<FoundApp> {
  const { name, exportName } = parseExportPath(spec);
  const tried: string[] = [];
  for (const path of await modulesFor(name, cwd, tried)) {
    const exports = await importFile(path, cwd);
    const location =
      exportName === undefined ? soleApp(exports, path, cwd, tried) : named(exports, exportName, path, cwd);
    if (location !== undefined) return { app: location.app, location: location.location };
  }
  const dotted = exportName === undefined ? await byLastPart(name, cwd) : undefined;
  if (dotted !== undefined) return dotted;
  const { hint } = await resolveModule(name, cwd);
  throw new ImproperlyConfigured(`No app found for ${asked}. Tried: ${tried.join(', ')}.${hint}`);
}

/** Every module the name may mean, in order; a package only when no file is there. */
async function modulesFor(name: string, cwd: string, tried: string[]): Promise<string[]> {
  const candidates = fileCandidates(name, cwd);
  const files = candidates.filter((path) => existsSync(path));
  if (files.length > 0) return files;
  const found = await resolveModule(name, cwd);
  tried.push(...found.tried);
  return found.path === undefined ? [] : [found.path];
}

/** `proj.tasks.app`, as Python writes it: the last part may be an export. */
async function byLastPart(name: string, cwd: string): Promise<FoundApp | undefined> {
  const cut = name.lastIndexOf('.');
  if (isPath(name) || cut <= 0) return undefined;
  const { path } = await resolveModule(name.slice(0, cut), cwd);
  if (path === undefined) return undefined;
  const exports = await importFile(path, cwd);
  const exportName = name.slice(cut + 1);
  const app = valueAt(exports, exportName);
  return isApp(app) ? { app, location: { kind: 'app', path, exportName } } : undefined;
}

interface Located {
  readonly app: Celery;
  readonly location: AppLocation;
}

function named(exports: ModuleExports, exportName: string, path: string, cwd: string): Located {
  const names = [exportName, `default.${exportName}`];
  for (const candidate of names) {
    const app = valueAt(exports, candidate);
    if (isApp(app)) return { app, location: { kind: 'app', path, exportName: candidate } };
  }
  const known = exportNames(exports);
  const where = shownPath(path, cwd);
  if (valueAt(exports, exportName) !== undefined) {
    throw new ImproperlyConfigured(
      `The export '${exportName}' of ${where} is no Celery app: make it with new Celery(…).`,
    );
  }
  const near = nearest(exportName, known);
  const hint = near === undefined ? '' : ` Did you mean '${near}'?`;
  throw new ImproperlyConfigured(
    `${where} has no export '${exportName}'; its exports: ${known.join(', ') || 'none'}.${hint}`,
  );
}

/** The export `app`, `celery` or default, else the only app there. Undefined, and a line in `tried`: there is none. */
function soleApp(exports: ModuleExports, path: string, cwd: string, tried: string[]): Located | undefined {
  for (const exportName of ['app', 'celery', 'default', 'default.app', 'default.celery']) {
    const app = valueAt(exports, exportName);
    if (isApp(app)) return { app, location: { kind: 'app', path, exportName } };
  }
  const found = new Map<Celery, string>();
  for (const exportName of [
    ...Object.keys(exports),
    ...exportNames(valueAt(exports, 'default')).map((key) => `default.${key}`),
  ]) {
    const app = valueAt(exports, exportName);
    if (isApp(app) && !found.has(app)) found.set(app, exportName);
  }
  const where = shownPath(path, cwd);
  const [only, ...others] = found;
  if (others.length > 0) {
    const names = [...found.values()];
    throw new ImproperlyConfigured(
      `${where} has several apps: ${names.join(', ')}. Say which: -A ${where}:${names[0]}`,
    );
  }
  if (only !== undefined) return { app: only[0], location: { kind: 'app', path, exportName: only[1] } };
  tried.push(`${where} (exports no Celery app, only: ${exportNames(exports).join(', ') || 'nothing'})`);
  return undefined;
}

async function byUsualNames({ cwd, env }: Surroundings): Promise<FoundApp> {
  const tried = ['-A', 'CELERY_APP', '"celery": { "app": … } in package.json'];
  const configName = env.CELERY_CONFIG_MODULE || 'celeryconfig';
  for (const name of ['./celery', configName, './tasks']) {
    const isConfig = name === configName;
    const { path } = await resolveModule(isConfig && name === 'celeryconfig' ? './celeryconfig' : name, cwd);
    if (path === undefined) {
      tried.push(
        isConfig && env.CELERY_CONFIG_MODULE
          ? `CELERY_CONFIG_MODULE=${name}`
          : `${name.replace(/^(?!\.)/, './')}.{ts,js,…}`,
      );
      continue;
    }
    const exports = await importFile(path, cwd);
    if (isConfig) return { app: appOfConfig(exports, path), location: { kind: 'config', path } };
    const located = soleApp(exports, path, cwd, tried);
    if (located !== undefined) return located;
  }
  throw new ImproperlyConfigured(`No app found in ${cwd}. Tried: ${tried.join(', ')}. Say where it is: -A ./tasks.ts`);
}

function appOfConfig(exports: ModuleExports, path: string): Celery {
  const main = valueAt(exports, 'default');
  const app = new Celery('celery');
  const settings = typeof main === 'object' && main !== null ? { ...main } : exports;
  app.settings.addObject({ settings, from: path });
  return app;
}

function packageApp(
  cwd: string,
): { readonly spec: string; readonly folder: string; readonly file: string } | undefined {
  for (let folder = cwd; ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file)) {
      const spec = appIn(file);
      return spec === undefined ? undefined : { spec, folder, file: shownPath(file, cwd) };
    }
    if (folder === dirname(folder)) return undefined;
  }
}

function appIn(packageFile: string): string | undefined {
  try {
    const app: unknown = JSON.parse(readFileSync(packageFile, 'utf8'))?.celery?.app;
    return typeof app === 'string' && app !== '' ? app : undefined;
  } catch {
    return undefined;
  }
}

function exportNames(exports: unknown): string[] {
  if (typeof exports !== 'object' || exports === null) return [];
  return Object.keys(exports).filter((key) => key !== 'default' && key !== '__esModule' && key !== 'module.exports');
}

function valueAt(exports: unknown, path: string): unknown {
  let value = exports;
  for (const key of path.split('.')) {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

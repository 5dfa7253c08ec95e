/**
 * `taskRoutes` as a list of routers that can be asked: exact names first, then globs and regular expressions in order,
 * then functions as they stand. The first router that answers wins.
 */
import { Queue } from '../amqp/index.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import { matchesGlob } from '../core/globs.ts';
import { camelCase, isRecord, show } from './settings/setting.ts';
import type { Route, RouteFunction, TaskRoutes } from './settings.ts';

/** A route in camelCase, still without its queue looked up. */
export type GivenRoute = Route;

export interface Routes {
  /** False: the answer depends on nothing but the task's name. */
  readonly asksFunctions: boolean;
  /** The first answer; undefined: no router has an opinion. */
  lookup: Lookup;
}

type Lookup = (
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  options: Readonly<Record<string, unknown>>,
  task: unknown,
) => GivenRoute | undefined;

interface CompiledRouter {
  readonly isFunction: boolean;
  readonly lookup: Lookup;
}

/** @throws {ImproperlyConfigured} when something in `taskRoutes` is no router. */
export function compileRoutes(routes: TaskRoutes | undefined): Routes {
  const routers = routes === undefined ? [] : compileAll(routes);
  return {
    asksFunctions: routers.some((router) => router.isFunction),
    lookup: (name, args, kwargs, options, task) => {
      for (const router of routers) {
        const route = router.lookup(name, args, kwargs, options, task);
        if (route !== undefined) return route;
      }
      return undefined;
    },
  };
}

/**
 * `taskRoutes` with every text loaded: a text names a function or a router class, `module:export`.
 * @throws whatever `load` throws.
 */
export async function loadRoutes(
  routes: TaskRoutes | undefined,
  load: (path: string) => Promise<unknown>,
): Promise<TaskRoutes | undefined> {
  if (typeof routes === 'string') return (await load(routes)) as TaskRoutes;
  if (!Array.isArray(routes) || isPair(routes)) return routes;
  return Promise.all(routes.map((one: unknown) => (typeof one === 'string' ? load(one) : one))) as Promise<TaskRoutes>;
}

/** True when `taskRoutes` names functions that `loadRoutes` has to load first. */
export function needsLoading(routes: TaskRoutes | undefined): boolean {
  return (
    typeof routes === 'string' ||
    (Array.isArray(routes) && !isPair(routes) && routes.some((one) => typeof one === 'string'))
  );
}

function compileAll(routes: TaskRoutes): CompiledRouter[] {
  if (!Array.isArray(routes)) return [compileOne(routes)];
  if (routes.length === 0) return [];
  if (isPair(routes)) return [mapRouter([routes])];
  return routes.every(isPair) ? [mapRouter(routes)] : routes.map(compileOne);
}

function compileOne(router: unknown): CompiledRouter {
  if (Array.isArray(router)) {
    if (isPair(router)) return mapRouter([router]);
    if (router.every(isPair)) return mapRouter(router);
    throw new ImproperlyConfigured('taskRoutes: a list inside the list must hold [pattern, route] pairs.');
  }
  if (router instanceof Map) return mapRouter([...router]);
  if (typeof router === 'string') {
    throw new ImproperlyConfigured(
      `taskRoutes names '${router}', which is loaded with the app: await app.loaded before sending, or give the function itself.`,
    );
  }
  if (isRouterClass(router)) return objectRouter(new router());
  if (typeof router === 'function') return functionRouter(router as RouteFunction);
  if (hasRouteForTask(router)) return objectRouter(router);
  if (isRecord(router)) return mapRouter(Object.entries(router));
  throw new ImproperlyConfigured(`taskRoutes: ${show(router)} is no router; give an object, pairs, or a function.`);
}

/** Only names with a star are globs, as in Celery; exact names come first wherever they stand. */
function mapRouter(pairs: readonly (readonly [unknown, unknown])[]): CompiledRouter {
  const exact = new Map<string, GivenRoute>();
  const patterns: { readonly fits: (name: string) => boolean; readonly route: GivenRoute }[] = [];
  for (const [pattern, given] of pairs) {
    const route = asRoute(given, `the route of ${show(pattern)}`);
    if (route === undefined) continue;
    if (pattern instanceof RegExp) patterns.push({ fits: fromTheStart(pattern), route });
    else if (typeof pattern !== 'string') throw new ImproperlyConfigured(`taskRoutes: ${show(pattern)} is no pattern.`);
    else if (pattern.includes('*')) patterns.push({ fits: (name) => matchesGlob(pattern, name), route });
    else exact.set(pattern, route);
  }
  return {
    isFunction: false,
    lookup: (name) => exact.get(name) ?? patterns.find(({ fits }) => fits(name))?.route,
  };
}

function functionRouter(router: RouteFunction): CompiledRouter {
  const label = router.name === '' ? 'a function' : `'${router.name}'`;
  return {
    isFunction: true,
    lookup: (name, args, kwargs, options, task) =>
      asRoute(router(name, args, kwargs, options, task), `what ${label} of taskRoutes answered for '${name}'`),
  };
}

interface OldRouter {
  routeForTask(name: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): unknown;
}

function objectRouter(router: OldRouter): CompiledRouter {
  return {
    isFunction: true,
    lookup: (name, args, kwargs) =>
      asRoute(router.routeForTask(name, args, kwargs), `what routeForTask answered for '${name}'`),
  };
}

function asRoute(given: unknown, what: string): GivenRoute | undefined {
  if (given === null || given === undefined) return undefined;
  if (typeof given === 'string' || given instanceof Queue) return { queue: given };
  if (!isRecord(given))
    throw new ImproperlyConfigured(`taskRoutes: ${what} must be a queue or an object, not ${show(given)}.`);
  if (typeof given.then === 'function') {
    throw new ImproperlyConfigured(`taskRoutes: ${what} is a promise; routers must answer at once.`);
  }
  return Object.fromEntries(
    Object.entries(given).flatMap(([key, value]) =>
      value === null || value === undefined ? [] : [[camelCase(key), value]],
    ),
  );
}

/** Python's `re.match`: from the first character, not to the last. */
function fromTheStart(pattern: RegExp): (name: string) => boolean {
  const sticky = new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, '')}y`);
  return (name) => {
    sticky.lastIndex = 0;
    return sticky.test(name);
  };
}

function isPair(value: unknown): value is readonly [string | RegExp, unknown] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [pattern, route] = value;
  const isPattern = typeof pattern === 'string' || pattern instanceof RegExp;
  return isPattern && (typeof route === 'string' || (isRecord(route) && !hasRouteForTask(route)));
}

function hasRouteForTask(value: unknown): value is OldRouter {
  return (
    typeof value === 'object' && value !== null && 'routeForTask' in value && typeof value.routeForTask === 'function'
  );
}

function isRouterClass(value: unknown): value is new () => OldRouter {
  return typeof value === 'function' && hasRouteForTask(value.prototype);
}

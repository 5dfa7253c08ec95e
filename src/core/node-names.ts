/**
 * Node names: `<name>@<host>`, and the letters that stand for their parts in `-n`, log and pid files.
 */
import { ImproperlyConfigured } from './errors.ts';

/** `worker1` on `host` → `worker1@host`; a name with a host is kept. */
export function nodeName(name: string, hostname: string): string {
  return name.includes('@') ? name : `${name}@${hostname}`;
}

/**
 * `%h` the whole host, `%n` the name, `%d` the domain, `%i` and `%I` the pool process (0 and nothing in the main one),
 * `%%` a percent sign.
 */
export function expandNodeName(
  text: string,
  given: { readonly hostname: string; readonly name?: string | undefined; readonly index?: number | undefined },
): string {
  const [first = '', ...domain] = given.hostname.split('.');
  const values: Readonly<Record<string, string>> = {
    '%': '%',
    h: given.hostname,
    n: given.name ?? first,
    d: domain.join('.'),
    i: String(given.index ?? 0),
    I: given.index === undefined || given.index === 0 ? '' : `-${given.index}`,
  };
  return text.replace(/%([%hndiI])/g, (_, letter: string) => values[letter] ?? '');
}

/**
 * The node name of a worker: `-n` with its letters expanded, `celery@host` without.
 * @throws {ImproperlyConfigured} for characters other than letters, digits, `_ . - @`.
 */
export function workerNodeName(given: string | undefined, hostname: string): string {
  const expanded = expandNodeName(given ?? 'celery', { hostname });
  const named = expanded.startsWith('@') ? `celery${expanded}` : expanded;
  const full = nodeName(named.endsWith('@') ? named.slice(0, -1) : named, hostname); // `%n@%d` where there is no domain
  if (!/^[A-Za-z0-9_.@-]+$/.test(full)) {
    throw new ImproperlyConfigured(`A node name may have letters, digits and _ . - @ only; '${full}' has others.`);
  }
  return full;
}

/**
 * The names a setting goes by: `taskAcksLate`, `task_acks_late`, Celery's old `CELERY_ACKS_LATE`, and under a namespace
 * `CELERY_TASK_ACKS_LATE`. One look-up for all of them, and what to suggest for a name that is none.
 */
import { nearest } from '../../core/nearest.ts';
import { type SettingName, settingNames, settingOf } from './table.ts';

/** `taskAcksLate` → `task_acks_late`. Celery's name of the setting. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The upper-case names Celery had for it, the best known first. */
export function oldNames(name: SettingName): readonly string[] {
  return settingOf(name).old ?? [snakeCase(name).toUpperCase()];
}

/** Which setting a key means; undefined when none. */
export function settingNamed(key: string, namespace?: string): SettingName | undefined {
  if (namespace === undefined || namespace === '') return plainNames.get(key);
  const rest = withoutNamespace(key, namespace);
  if (rest !== undefined) {
    const name = namespacedNames.get(rest) ?? plainNames.get(rest);
    if (name !== undefined) return name;
  }
  return key.startsWith('CELERY') ? byOldName.get(key) : undefined;
}

/** True when a key is meant for us though it names no setting: the others of a shared object are left alone. */
export function isOurs(key: string, namespace?: string): boolean {
  return namespace === undefined || namespace === '' || withoutNamespace(key, namespace) !== undefined;
}

/** The known name most like `key`, in the spelling of `key`. */
export function suggestion(key: string, namespace?: string): string | undefined {
  const rest = namespace === undefined ? undefined : withoutNamespace(key, namespace);
  const prefix = rest === undefined ? '' : key.slice(0, key.length - rest.length);
  const wanted = rest ?? key;
  if (!/[a-z]/.test(wanted)) {
    const known = prefix === '' ? [...byOldName.keys(), ...settingNames] : namespacedNames.keys();
    const found = nearest(wanted, known);
    return found === undefined ? undefined : `${prefix}${found}`;
  }
  const found = nearest(wanted, settingNames);
  if (found === undefined) return undefined;
  return `${prefix}${wanted.includes('_') ? snakeCase(found) : found}`;
}

/** Short names that `new Celery()` takes, as in Celery. */
const shortNames = { broker: 'brokerUrl', backend: 'resultBackend' } as const satisfies Record<string, SettingName>;

const byOldName: ReadonlyMap<string, SettingName> = new Map(
  settingNames.flatMap((name) => oldNames(name).map((old): [string, SettingName] => [old, name])),
);

const plainNames: ReadonlyMap<string, SettingName> = new Map([
  ...byOldName,
  ...Object.entries(shortNames),
  ...settingNames.flatMap((name): [string, SettingName][] => [
    [snakeCase(name), name],
    [name, name],
  ]),
]);

const namespacedNames: ReadonlyMap<string, SettingName> = new Map(
  settingNames.map((name) => [snakeCase(name).toUpperCase(), name]),
);

/** What follows `CELERY_` (or `celery_`, or the `celery` of `celeryTaskAcksLate`) in a key; undefined: not there. */
function withoutNamespace(key: string, namespace: string): string | undefined {
  const prefix = namespace.endsWith('_') ? namespace : `${namespace}_`;
  if (key.startsWith(prefix) && key.length > prefix.length) return key.slice(prefix.length);
  return undefined;
}

/**
 * Redaction of settings: everything `core/redact.ts` masks, and the values of settings marked as secret in the table.
 */
import { mask, redact } from '../core/redact.ts';
import { settingNamed, settingOf } from './settings.ts';

export { isSecretKey, mask, redact, redactArgs, redactText } from '../core/redact.ts';

/** Settings fit to be shown (`report`, `inspect conf`), under whichever of their names they come. */
export function redactSettings(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => {
      const name = settingNamed(key);
      const isSecret = name !== undefined && settingOf(name).secret === true;
      const isSet = value !== undefined && value !== null && value !== '';
      return [key, isSecret && isSet ? mask : valueUnder(key, value)];
    }),
  );
}

/** A value by its key: `redact` looks at keys only inside objects. */
function valueUnder(key: string, value: unknown): unknown {
  return Object.values(Object(redact({ [key]: value })))[0];
}

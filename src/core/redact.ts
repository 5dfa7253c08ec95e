/**
 * The one redactor: what may be a secret is masked before it is logged, shown, answered or put into an error.
 * Passwords in URLs inside any text, `key=value` texts, bearer tokens, private keys; values whose key sounds like a
 * secret, however deep; arguments of a command line. It would rather mask too much than too little.
 */

/** What stands where a secret stood. */
export const mask = '********';

/** A text with the secrets in it masked; hosts, users and everything else stay readable. */
export function redactText(text: string): string {
  // Most texts have none of these letters: one look instead of five.
  if (!/[=@:]|BEGIN|(?:bearer|basic)\s/i.test(text)) return text;
  if (isUrl.test(text))
    return text
      .replace(passwordOfUrl, `$1${mask}@`)
      .replace(httpToken, `$1${mask}@`)
      .replace(assignment, maskAssignment);
  return text
    .replace(privateKeys, `-----BEGIN $1-----${mask}-----END $1-----`)
    .replace(urlPassword, `$1${mask}@`)
    .replace(httpToken, `$1${mask}@`)
    .replace(authorization, `$1 ${mask}`)
    .replace(assignment, maskAssignment)
    .replace(quotedPair, (whole, head: string, quote: string, key: string) =>
      isSecretKey(key) ? `${head}${quote}${mask}${quote}` : whole,
    )
    .replace(colonPair, (whole, key: string, colon: string) =>
      isSecretKey(key) && !innocentWords.has(key.toLowerCase()) ? `${key}${colon}${mask}` : whole,
    );
}

/** True when a value under this name is not to be shown: `redisPassword`, `api_key`, `Authorization` … */
export function isSecretKey(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return (
    words.some((word, index) => secretWords.has(word) || secretPairs.has(`${words[index - 1] ?? ''} ${word}`)) ||
    secretNames.has(words.join(''))
  );
}

/**
 * A copy fit to be shown: what sits under a secret's name is masked, and every text is redacted, keys too.
 * Functions and other things that are no data become a short text; circles are cut.
 */
export function redact(value: unknown): unknown {
  return redactInside(value, []);
}

/** A command line with its secrets masked: `--password x`, `--token=x`, URLs. */
export function redactArgs(args: readonly string[]): string[] {
  return args.map((arg, index) => {
    const before = args[index - 1] ?? '';
    const isValueOfSecret = /^--?[^=]+$/.test(before) && isSecretKey(before) && !arg.startsWith('--');
    return isValueOfSecret ? mask : redactText(arg);
  });
}

const privateKeys = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(?:-----END \1-----|$)/g;
/**
 * To the last `@` before the next URL: a password may hold `@` and `/` that nobody escaped.
 * What stands as `**` is masked already. Patterns are bounded and anchored, so that a megabyte of letters costs one pass and not a square.
 */
const urlPassword = /(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/:@'"]*:)(?!\*\*@)(?:(?!:\/\/)[^\s'"])*@/gi;
/** A text that is one URL and nothing else: its password may hold quotes as well. */
const isUrl = /^[a-z][a-z0-9+.-]{0,30}:\/\/\S+$/i;
const passwordOfUrl = /([a-z][a-z0-9+.-]{0,30}:\/\/[^\s/:@]*:)(?!\*\*@)(?:(?!:\/\/)\S)*@/gi;
const httpToken = /(https?:\/\/)[^\s/:@'"]+@/gi;
const authorization = /\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi;
const maskAssignment = (whole: string, key: string, equals: string): string =>
  isSecretKey(key) ? `${key}${equals}${mask}` : whole;
const assignment = /(?<![\w.-])([\w.-]{1,64})(\s?=\s?)("[^"]*"|'[^']*'|[^\s,;&'"]+)/g;
const quotedPair = /((["'])([\w.-]+)\2\s*:\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/g;
const colonPair = /(?<![\w.-])([\w.-]{1,64})(:\s+)[^\s,;'"]+/g;
/** Words that stand before a colon in ordinary messages. */
const innocentWords = new Set(['token', 'tokens', 'pass', 'cookie', 'auth']);

const secretWords = new Set(
  'password passwords passwd pwd pass passphrase secret secrets token tokens credential credentials authorization cookie cookies apikey dsn'.split(
    ' ',
  ),
);
const secretPairs = new Set(
  ['api', 'access', 'private', 'secret', 'account', 'signing', 'encryption', 'security', 'master', 'shared']
    .map((word) => `${word} key`)
    .concat('auth kwargs', 'client secret'),
);
const secretNames = new Set(['auth', 'sasl', 'userpass', 'accesskeyid', 'accesskey', 'privatekey', 'secretkey']);

const deepest = 50;

function redactInside(value: unknown, above: readonly object[]): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'function') return `[function ${value.name || 'anonymous'}]`;
  if (typeof value === 'symbol') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (above.includes(value)) return '[circular]';
  if (above.length >= deepest) return '[too deep]';
  if (value instanceof Date) return value;
  if (value instanceof RegExp) return redactText(String(value));
  if (value instanceof Error) return redactText(`${value.name}: ${value.message}`);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  const path = [...above, value];
  if (Array.isArray(value)) return redactList(value, path);
  if (value instanceof Set) return redactList([...value], path);
  if (value instanceof Map)
    return redactEntries(
      [...value].map(([key, held]) => [String(key), held]),
      path,
    );
  if ('toJSON' in value && typeof value.toJSON === 'function') return redactInside(value.toJSON(), path);
  return redactEntries(Object.entries(value), path);
}

/** `['password', 'x']` is how Python's pairs look in JSON. */
function redactList(list: readonly unknown[], path: readonly object[]): unknown[] {
  const [key, held] = list;
  if (list.length === 2 && typeof key === 'string' && isSecretKey(key)) return [key, masked(held)];
  return list.map((item) => redactInside(item, path));
}

function redactEntries(
  entries: readonly (readonly [string, unknown])[],
  path: readonly object[],
): Record<string, unknown> {
  return Object.fromEntries(
    entries.map(([key, held]) => [redactText(key), isSecretKey(key) ? masked(held) : redactInside(held, path)]),
  );
}

/** That something is unset, or a switch, is no secret. */
function masked(value: unknown): unknown {
  return value === undefined || value === null || value === '' || typeof value === 'boolean' ? value : mask;
}

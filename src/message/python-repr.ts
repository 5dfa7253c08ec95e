/**
 * Values as Python would print them: `argsrepr`, `kwargsrepr`, event texts. For people only; nothing parses it.
 */
export interface ReprOptions {
  /** Characters; longer text is cut and ends with `...`. Default 1024. */
  readonly limit?: number;
  /** Show the outermost list as a tuple, `(2, 3)`. */
  readonly tuple?: boolean;
}

export function pythonRepr(value: unknown, limit = 1024): string {
  return String(value).slice(0, limit);
}

/**
 * Shell-style patterns as Python's fnmatch reads them: `*`, `?`, `[seq]`, `[!seq]`.
 * Matched by two pointers in time linear for one star and never exponential; never translated to a regular expression.
 */

/** True when the whole of `text` fits `pattern`. Case counts. */
export function matchesGlob(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let afterStar = -1;
  let resumeAt = 0;
  while (t < text.length) {
    const code = pattern.charCodeAt(p);
    if (code === star) {
      afterStar = p + 1;
      resumeAt = t;
      p += 1;
      continue;
    }
    const end = p < pattern.length ? matchOne(pattern, p, text.charCodeAt(t)) : -1;
    if (end !== -1) {
      p = end;
      t += 1;
    } else if (afterStar !== -1) {
      resumeAt += 1;
      t = resumeAt;
      p = afterStar;
    } else {
      return false;
    }
  }
  while (pattern.charCodeAt(p) === star) p += 1;
  return p === pattern.length;
}

/** True when `pattern` has a wildcard at all. */
export function isGlob(pattern: string): boolean {
  return /[*?[]/.test(pattern);
}

const star = 0x2a;
const question = 0x3f;
const open = 0x5b;
const close = 0x5d;
const bang = 0x21;
const dash = 0x2d;

/** The position after the pattern's element at `p` when it takes `code`; else -1. */
function matchOne(pattern: string, p: number, code: number): number {
  const element = pattern.charCodeAt(p);
  if (element === question) return p + 1;
  if (element === open) {
    const end = closingBracket(pattern, p);
    if (end !== -1) return isInSet(pattern, p + 1, end, code) ? end + 1 : -1;
  }
  return element === code ? p + 1 : -1;
}

/** A `]` right after `[` or `[!` stands for itself; a `[` never closed does too. */
function closingBracket(pattern: string, p: number): number {
  const first = pattern.charCodeAt(p + 1) === bang ? p + 2 : p + 1;
  return pattern.indexOf(']', pattern.charCodeAt(first) === close ? first + 1 : first);
}

function isInSet(pattern: string, from: number, end: number, code: number): boolean {
  const isNegated = pattern.charCodeAt(from) === bang;
  let i = isNegated ? from + 1 : from;
  let isMember = false;
  while (i < end) {
    const low = pattern.charCodeAt(i);
    if (pattern.charCodeAt(i + 1) === dash && i + 2 < end) {
      isMember ||= low <= code && code <= pattern.charCodeAt(i + 2);
      i += 3;
    } else {
      isMember ||= low === code;
      i += 1;
    }
  }
  return isMember !== isNegated;
}

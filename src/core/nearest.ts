/**
 * The nearest known name to one that is not known: what an error suggests.
 * Distance counts inserted, dropped, changed and swapped letters; names that differ in too many are no suggestion.
 */

/** The known name most like `name`, if any is like it enough. Case, `_` and `-` count for nothing. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  return nearestFew(name, known, 1)[0];
}

/** The `limit` known names most like `name`, best first. */
export function nearestFew(name: string, known: Iterable<string>, limit = 3): string[] {
  const wanted = plain(name);
  const mostEdits = Math.max(1, Math.floor(wanted.length * 0.34));
  const found: { candidate: string; distance: number }[] = [];
  for (const candidate of known) {
    const other = plain(candidate);
    if (Math.abs(other.length - wanted.length) > mostEdits) continue;
    const distance = editDistance(wanted, other);
    if (distance <= mostEdits) found.push({ candidate, distance });
  }
  found.sort((a, b) => a.distance - b.distance);
  return found.slice(0, limit).map(({ candidate }) => candidate);
}

function plain(name: string): string {
  return name.slice(0, 200).toLowerCase().replace(/[_-]/g, '');
}

/** Optimal string alignment: three rows of the usual table. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(changed, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

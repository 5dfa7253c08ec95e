/** Text in the cells of a terminal: some characters take two, some none. */

// Ideographs, Hangul, full-width forms and most emoji: what terminals draw two cells wide.
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const none = /\p{M}|[\u200b-\u200d]/u;

export function cellsOf(text: string): number {
  let cells = 0;
  for (const character of text) cells += width(character);
  return cells;
}

/** Exactly so many cells: filled with spaces, or cut with `…`. */
export function fitted(text: string, cells: number): string {
  if (cells <= 0) return '';
  const taken = cellsOf(text.length > cells * 4 ? text.slice(0, cells * 4) : text);
  if (taken <= cells && text.length <= cells * 4) return text + ' '.repeat(cells - taken);
  let cut = '';
  let used = 0;
  for (const character of text) {
    const next = width(character);
    if (used + next > cells - 1) break;
    cut += character;
    used += next;
  }
  return `${cut}…${' '.repeat(Math.max(0, cells - used - 1))}`;
}

/** Lines of at most so many cells, broken wherever they are full. */
export function wrap(text: string, cells: number): string[] {
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    let current = '';
    let used = 0;
    for (const character of line) {
      const next = width(character);
      if (used + next > Math.max(2, cells)) {
        lines.push(current);
        current = '';
        used = 0;
      }
      current += character;
      used += next;
    }
    lines.push(current);
  }
  return lines;
}

function width(character: string): number {
  if (character.length === 1 && character < '\u0300') return 1;
  if (none.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

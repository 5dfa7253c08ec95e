/** Faults by chance, the same again from the same seed. Pure: when to strike, and with what. */

export interface Strike<F extends string> {
  readonly atMs: number;
  readonly fault: F;
}

/** One fault every one to three seconds, for `forMs`. */
export function draw<F extends string>(seed: number, faults: readonly F[], forMs: number): readonly Strike<F>[] {
  const random = mulberry(seed);
  const strikes: Strike<F>[] = [];
  let atMs = 0;
  for (;;) {
    atMs += 1_000 + Math.floor(random() * 2_000);
    const fault = faults[Math.floor(random() * faults.length)];
    if (atMs >= forMs || fault === undefined) return strikes;
    strikes.push({ atMs, fault });
  }
}

/** A small generator of numbers in [0, 1): quality enough to choose faults. */
function mulberry(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

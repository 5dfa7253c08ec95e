/**
 * How the consumers of one queue on one channel are changed so that together they may hold a wanted number of messages.
 * `basic.qos` touches only consumers that come after it, so growing means one more consumer, and shrinking means one
 * fewer or one anew. What a cancelled consumer was given stays with us and counts no more. Pure.
 */

export interface Share {
  /** Messages this consumer may hold unacknowledged; 0: no limit. */
  readonly prefetch: number;
  /** `base`: the working window. `extra`: room for messages that are held beside it (an eta, a rate limit). */
  readonly role: 'base' | 'extra';
}

export interface PrefetchPlan<S extends Share> {
  readonly add: readonly Share[];
  readonly cancel: readonly S[];
}

const mostBaseShares = 4;
const mostExtraShares = 12;

/**
 * `base` is met exactly. `extra` is met in coarse steps, each half of what is there: holding one more message must not
 * cost one more consumer. No step goes beyond `mostExtra`. `mayShare` false: the queue takes one consumer at a time, so
 * it is replaced.
 */
export function planPrefetch<S extends Share>(
  current: readonly S[],
  wanted: Wanted,
  mayShare: boolean,
): PrefetchPlan<S> {
  const plan = { add: [] as Share[], cancel: [] as S[] };
  if (!mayShare) {
    planSingle(current, wanted, plan);
    return plan;
  }
  planBase(
    current.filter(({ role }) => role === 'base'),
    wanted.base,
    plan,
  );
  // Without a limit nothing needs extra room.
  const most = wanted.mostExtra ?? Number.POSITIVE_INFINITY;
  const extra = wanted.base === 0 ? 0 : Math.min(wanted.extra, most);
  planExtra(
    current.filter(({ role }) => role === 'extra'),
    { base: wanted.base, extra, mostExtra: most },
    plan,
  );
  return plan;
}

interface Wanted {
  readonly base: number;
  readonly extra: number;
  /** Default: no bound. */
  readonly mostExtra?: number | undefined;
}

interface Draft<S> {
  readonly add: Share[];
  readonly cancel: S[];
}

function planSingle<S extends Share>(
  current: readonly S[],
  { base, extra: asked, mostExtra = Number.POSITIVE_INFINITY }: Wanted,
  plan: Draft<S>,
): void {
  const extra = Math.min(asked, mostExtra);
  const need = base === 0 ? 0 : base + extra;
  const there = current.length === 1 ? current[0]?.prefetch : undefined;
  const isExact = need === 0 || extra === 0;
  const most = Math.min(need * 2, base + mostExtra);
  const fits = there === need || (!isExact && there !== undefined && there >= need && there <= most);
  if (fits) return;
  plan.cancel.push(...current);
  plan.add.push({ prefetch: isExact ? need : Math.min(need + Math.ceil(need / 2), most), role: 'base' });
}

function planBase<S extends Share>(shares: readonly S[], base: number, plan: Draft<S>): void {
  const isUnlimited = shares.some(({ prefetch }) => prefetch === 0);
  const kept = [...shares];
  let sum = kept.reduce((total, { prefetch }) => total + prefetch, 0);
  const replace = (): void => {
    plan.add.push({ prefetch: base, role: 'base' });
    plan.cancel.push(...kept);
  };
  if (base === 0 || isUnlimited) {
    if (base !== 0 || !isUnlimited || kept.length !== 1) replace();
    return;
  }
  for (let last = kept.at(-1); last !== undefined && sum - last.prefetch >= base; last = kept.at(-1)) {
    sum -= last.prefetch;
    plan.cancel.push(last);
    kept.pop();
  }
  if (sum === base) return;
  if (sum < base && kept.length < mostBaseShares) plan.add.push({ prefetch: base - sum, role: 'base' });
  else replace();
}

function planExtra<S extends Share>(
  shares: readonly S[],
  { base, extra, mostExtra }: { readonly base: number; readonly extra: number; readonly mostExtra: number },
  plan: Draft<S>,
): void {
  const kept = [...shares];
  let sum = kept.reduce((total, { prefetch }) => total + prefetch, 0);
  if (extra > sum) {
    const step = Math.max(extra - sum, Math.min(Math.ceil((base + sum) / 2), mostExtra - sum));
    if (kept.length < mostExtraShares) {
      plan.add.push({ prefetch: step, role: 'extra' });
    } else {
      plan.add.push({ prefetch: sum + step, role: 'extra' });
      plan.cancel.push(...kept);
    }
    return;
  }
  if (sum > mostExtra) {
    if (extra > 0) plan.add.push({ prefetch: extra, role: 'extra' });
    plan.cancel.push(...kept);
    return;
  }
  if (extra > sum / 2) return; // it may soon be wanted again
  for (let last = kept.at(-1); last !== undefined && sum - last.prefetch >= extra; last = kept.at(-1)) {
    sum -= last.prefetch;
    plan.cancel.push(last);
    kept.pop();
  }
}

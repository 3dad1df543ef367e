/** A measured number beside its peer's. */
export interface Figure {
  readonly what: string;
  readonly unit: 'ms' | 's' | 'requests/s' | 'MiB';
  readonly better: 'lower' | 'higher';
  readonly ours: number;
  /** Another way to the same end. */
  readonly peer: { readonly name: string; readonly value: number };
  /** What the guide promises, where it does: `< 1 s`. */
  readonly promise?: string | undefined;
}

/** How many times better ours is than the peer's; below 1 where the peer is better. */
export function ratioOf({ better, ours, peer }: Figure): number {
  return better === 'lower' ? peer.value / ours : ours / peer.value;
}

/** The middle one of several numbers. */
export function median(numbers: readonly number[]): number {
  return percentile(numbers, 50);
}

/** The number that `percent` of all are at or below (nearest rank). @throws when there is none */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

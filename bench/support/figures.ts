/** A measured number, beside its peer's where there is another way to the same end. */
export interface Figure {
  readonly what: string;
  readonly unit: 'ms' | 's' | 'requests/s' | 'lines/s' | 'readers' | 'MiB';
  readonly better: 'lower' | 'higher';
  readonly ours: number;
  readonly peer?: { readonly name: string; readonly value: number };
  /** What is promised, where something is: `< 1 s`. */
  readonly promise?: string | undefined;
}

/** How many times better ours is than the peer's; below 1 where the peer is better. Undefined without a peer. */
export function ratioOf({ better, ours, peer }: Figure): number | undefined {
  if (peer === undefined) return undefined;
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

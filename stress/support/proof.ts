import type { Stress } from './stress.ts';

/** Something that the platform promises, tried hard enough that a break of it would show. */
export interface Proof {
  /** What `npm run stress -- NAME` takes. */
  readonly name: string;
  readonly title: string;
  /** With the counts of `npm run stress`. */
  prove(stress: Stress): Promise<Proven>;
}

/** What was counted. */
export interface Count {
  readonly what: string;
  readonly is: number;
  /** Absent: a number that is told, whatever it is. */
  readonly wanted?: number;
}

export interface Proven {
  readonly counts: readonly Count[];
  /** What was not as it should be, one line each. */
  readonly faults: readonly string[];
}

/** The counts that are not as wanted, and the faults. Empty: it is proven. */
export function shortfalls({ counts, faults }: Proven): string[] {
  const short = counts.filter(({ is, wanted }) => wanted !== undefined && is !== wanted);
  return [...short.map(countLine), ...faults];
}

/** `lines lost: 0`, or `jobs that ended right: 19, not 20`. */
export function countLine({ what, is, wanted }: Count): string {
  const number = (value: number) => value.toLocaleString('en');
  const isShort = wanted !== undefined && is !== wanted;
  return `${what}: ${number(is)}${isShort ? `, NOT ${number(wanted)}` : ''}`;
}

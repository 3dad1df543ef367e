interface Bounds {
  readonly least: bigint;
  readonly most: bigint;
}

/** Types of columns that hold whole numbers, by MLflow's names and by numpy's, and what they hold. */
export const WHOLE_NUMBERS: ReadonlyMap<string, Bounds> = new Map([
  ['integer', signed(32)],
  ['long', signed(64)],
  ...[8, 16, 32, 64].flatMap((bits): [string, Bounds][] => [
    [`int${bits}`, signed(bits)],
    [`uint${bits}`, { least: 0n, most: 2n ** BigInt(bits) - 1n }],
  ]),
]);

function signed(bits: number): Bounds {
  const half = 2n ** BigInt(bits - 1);
  return { least: -half, most: half - 1n };
}

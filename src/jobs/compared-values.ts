/** The most keys that are shown; of more those that differ go first. */
const MAX_KEYS = 2_000;

/** What each of those compared has under one key; null where it has nothing. */
export interface ComparedValue<Value> {
  readonly key: string;
  readonly values: readonly (Value | null)[];
  readonly isSame: boolean;
}

/** The values of some maps side by side, by key; whether some were left out, as there are too many. */
export function comparedValues<Value>(maps: readonly ReadonlyMap<string, Value>[]): {
  readonly values: ComparedValue<Value>[];
  readonly isCut: boolean;
} {
  const keys = [...new Set(maps.flatMap((map) => [...map.keys()]))];
  const all = keys.map((key): ComparedValue<Value> => {
    const values = maps.map((map) => map.get(key) ?? null);
    return { key, values, isSame: values.every((value) => value === values[0]) };
  });
  const chosen = all.toSorted((a, b) => Number(a.isSame) - Number(b.isSame)).slice(0, MAX_KEYS);
  return { values: chosen.toSorted((a, b) => (a.key < b.key ? -1 : 1)), isCut: all.length > MAX_KEYS };
}

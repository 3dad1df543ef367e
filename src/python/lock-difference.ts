import { packagesOf } from './lock-packages.ts';

/** A package that one lock has and the other has not, or has in another version; null where it has not. */
export interface PackageDifference {
  readonly name: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** How two locks differ, by the packages' names. */
export function lockDifferences(before: string, after: string): PackageDifference[] {
  const [first, second] = [versionsOf(before), versionsOf(after)];
  const names = [...new Set([...first.keys(), ...second.keys()])].toSorted();
  return names.flatMap((name) => {
    const pair = { name, before: first.get(name) ?? null, after: second.get(name) ?? null };
    return pair.before === pair.after ? [] : [pair];
  });
}

function versionsOf(lock: string): Map<string, string> {
  return new Map(packagesOf(lock).map(({ name, version }) => [name, version]));
}

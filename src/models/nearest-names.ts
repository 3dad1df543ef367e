/**
 * Up to `limit` of `names` that a writer of `name` may have meant, the nearest first: those that hold it or are held by
 * it, and those within an edit distance of a third of its length, at most 8. Case does not count.
 * `python/asgard/nearest.py` finds the same.
 */
export function nearestNames(name: string, names: readonly string[], limit: number): string[] {
  const wanted = name.toLowerCase();
  return names
    .map((candidate) => ({ candidate, distance: distanceOf(wanted, candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.min(MOST_EDITS, Math.max(1, wanted.length / 3)))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}

const MOST_EDITS = 8;
/** Nearly every name holds some one letter. */
const LEAST_HELD = 3;

function distanceOf(wanted: string, candidate: string): number {
  if (wanted === '' || candidate === '') return Number.POSITIVE_INFINITY;
  if (candidate === wanted) return 0;
  const isLongEnough = Math.min(candidate.length, wanted.length) >= LEAST_HELD;
  if (isLongEnough && (candidate.includes(wanted) || wanted.includes(candidate))) return 1;
  return editDistance(wanted, candidate);
}

/** Levenshtein's: the fewest insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      current.push(
        Math.min(
          (previous[column] ?? 0) + 1,
          (current[column - 1] ?? 0) + 1,
          (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1),
        ),
      );
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

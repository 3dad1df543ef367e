import type { JobFeatureRead } from '../database/generated/client.ts';

/** What was read of one feature view, of whichever snapshots. */
export interface ReadOfView {
  readonly featureView: string;
  readonly tables: readonly string[];
  readonly features: readonly string[];
  /** Whole numbers as text, in the order in which they were first read. */
  readonly snapshotIds: readonly string[];
}

/** A feature view of which one read something else than the other; null where it read nothing. */
export interface FeatureDifference {
  readonly featureView: string;
  readonly before: ReadOfView | null;
  readonly after: ReadOfView | null;
}

type Read = Pick<JobFeatureRead, 'featureView' | 'table' | 'features' | 'snapshotId'>;

/** The reads by feature view, by name. */
function readsByView(reads: readonly Read[]): ReadOfView[] {
  const groups = Map.groupBy(reads, ({ featureView }) => featureView);
  return [...groups]
    .map(([featureView, group]) => ({
      featureView,
      tables: [...new Set(group.map(({ table }) => table))].toSorted(),
      features: [...new Set(group.flatMap(({ features }) => features))].toSorted(),
      snapshotIds: [...new Set(group.flatMap(({ snapshotId }) => snapshotId ?? []))],
    }))
    .toSorted((a, b) => (a.featureView < b.featureView ? -1 : 1));
}

/** Views of which others features, tables or snapshots were read, by name. */
export function featureDifferences(before: readonly Read[], after: readonly Read[]): FeatureDifference[] {
  const [first, second] = [readsByView(before), readsByView(after)];
  const names = new Set([...first, ...second].map(({ featureView }) => featureView));
  return [...names].toSorted().flatMap((featureView) => {
    const of = (views: readonly ReadOfView[]) => views.find((view) => view.featureView === featureView) ?? null;
    const pair = { featureView, before: of(first), after: of(second) };
    return JSON.stringify(pair.before) === JSON.stringify(pair.after) ? [] : [pair];
  });
}

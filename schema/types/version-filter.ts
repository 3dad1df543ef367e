import type { VersionFilter } from '../../src/models/lists.ts';
import { builder } from '../builder.ts';
import { checkDatabaseText } from '../database-text.ts';
import { searchedTags, TagInput, tagSearchDescription } from './tag.ts';

const ModelVersionFilter = builder.inputType('ModelVersionFilter', {
  description: 'Which versions a list holds; what is absent does not choose, and all that is given must hold.',
  fields: (t) => ({
    tags: t.field({ type: [TagInput], description: tagSearchDescription('versions') }),
    runId: t.id({ description: 'Only what this run logged.' }),
    isServable: t.boolean({
      description: 'Only versions that were tried and work, or, when false, only those that were refused.',
    }),
  }),
});

/** The argument `filter` of a list of versions. */
export const versionFilterArg = builder.args((t) => ({
  filter: t.field({ type: ModelVersionFilter, description: 'Which versions; absent means all.' }),
})).filter;

/** @throws AsgardError INVALID_INPUT, naming the field */
export function versionFilter(given: typeof ModelVersionFilter.$inferInput | null | undefined): VersionFilter {
  const { tags, runId, isServable } = given ?? {};
  checkDatabaseText(['filter', 'runId'], runId);
  return {
    ...(tags != null && { tags: searchedTags(['filter', 'tags'], tags) }),
    ...(runId != null && { runId }),
    ...(isServable != null && { isServable }),
  };
}

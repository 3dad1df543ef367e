import type { z } from 'zod';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { AsgardError } from '../platform/errors.ts';
import type { RestServices } from './services.ts';
import type { modelListQuery, versionListQuery } from './wire-registry.ts';

const PAGE_MODELS = 1000;
const MAX_PAGES = 10;

type Models = RestServices['models'];

/**
 * Every registered model that the query chooses: the guide's list has no pages.
 * @throws AsgardError TOO_LARGE beyond 10,000 models, which only the GraphQL API lists
 */
export async function listAllModels(
  models: Models,
  { search, tag }: z.output<typeof modelListQuery>,
): Promise<RegisteredModel[]> {
  const list = models.modelList({ search, tags: tag, by: 'name', isAscending: true });
  const all: RegisteredModel[] = [];
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { items, nextPageToken } = await list.search({
      maxResults: PAGE_MODELS,
      ...(after !== undefined && { pageToken: after }),
    });
    all.push(...items);
    if (nextPageToken === null) return all;
    after = nextPageToken;
  }
  throw new AsgardError('TOO_LARGE', `there are more than ${all.length} models: list them page by page, at /graphql`);
}

/** A page of a model's versions, the newest first. @throws AsgardError NOT_FOUND */
export async function listVersions(
  models: Models,
  name: string,
  { limit, cursor, tag, servable }: z.output<typeof versionListQuery>,
): Promise<{ versions: ModelVersion[]; nextCursor: string | null }> {
  await models.get(name);
  const { items, nextPageToken } = await models.versionList(name, { tags: tag, isServable: servable }).search({
    maxResults: limit,
    ...(cursor !== undefined && { from: `version_number < ${cursor}` }),
  });
  return { versions: items, nextCursor: nextPageToken === null ? null : (items.at(-1)?.version ?? null) };
}

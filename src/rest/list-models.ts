import type { z } from 'zod';
import { type MlflowList, readList } from '../mlflow/list.ts';
import type { ModelVersion, RegisteredModel } from '../mlflow/wire.ts';
import { AsgardError } from '../platform/errors.ts';
import { cursorOf, placeAt } from './list-cursor.ts';
import type { RestServices } from './services.ts';
import { MAX_MODELS, type modelListQuery, type versionListQuery } from './wire-registry.ts';

const PAGE_MODELS = 1000;
const MAX_PAGES = 10;

type Models = RestServices['models'];

/**
 * The registered models that the query chooses, by name: a page when it wants one, else all, as in the guide's list.
 * @throws AsgardError TOO_LARGE beyond 10,000 models at once
 */
export async function listModels(
  models: Models,
  { search, tag, limit, cursor }: z.output<typeof modelListQuery>,
): Promise<{ models: RegisteredModel[]; nextCursor: string | null }> {
  const list = models.modelList({ search, tags: tag, by: 'name', isAscending: true });
  if (limit === undefined && cursor === undefined) return { models: await readAll(list), nextCursor: null };
  const after = cursor === undefined ? undefined : placeAt(cursor);
  const { items, hasNext } = await readList(list, limit ?? MAX_MODELS, after);
  const last = items.at(-1);
  return { models: items.map(({ item }) => item), nextCursor: hasNext && last ? cursorOf(last.place) : null };
}

async function readAll(list: MlflowList<RegisteredModel>): Promise<RegisteredModel[]> {
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
  throw new AsgardError('TOO_LARGE', `there are more than ${all.length} models: list them page by page, with a limit`);
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

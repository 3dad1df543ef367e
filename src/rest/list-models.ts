import type { RegisteredModel } from '../mlflow/wire.ts';
import { AsgardError } from '../platform/errors.ts';
import type { RestServices } from './services.ts';

const PAGE_MODELS = 1000;
const MAX_PAGES = 10;

/**
 * Every registered model: the guide's list has no pages.
 * @throws AsgardError TOO_LARGE beyond 10,000 models, which only the GraphQL API lists
 */
export async function listAllModels(models: RestServices['models']): Promise<RegisteredModel[]> {
  const all: RegisteredModel[] = [];
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { items, nextPageToken } = await models.list({ first: PAGE_MODELS, after });
    all.push(...items);
    if (nextPageToken === null) return all;
    after = nextPageToken;
  }
  throw new AsgardError('TOO_LARGE', `there are more than ${all.length} models: list them page by page, at /graphql`);
}

import type { RestServices } from './services.ts';

const MAX_VERSIONS = 100;

/** The numbers of a model's newest versions that were not refused, in their order. */
export async function servedVersions(
  { models, modelChecks }: Pick<RestServices, 'models' | 'modelChecks'>,
  name: string,
): Promise<string[]> {
  const { items } = await models.versionList(name).search({ maxResults: MAX_VERSIONS });
  const checks = await modelChecks(items);
  const served = items.filter((_version, index) => checks[index]?.status !== 'REFUSED');
  return served.map(({ version }) => version).toSorted((a, b) => Number(a) - Number(b));
}

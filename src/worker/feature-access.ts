import { FeaturesDatabase } from '../feast/database.ts';
import { type RoleHolder, ScriptRoles } from '../feast/script-role.ts';
import {
  type FeatureStoreSettings,
  featureStoreYaml,
  readersSettings,
  readKeyTrouble,
  SCHEMAS,
} from '../feast/settings.ts';
import { yamlText } from '../feast/yaml.ts';
import { messageOf } from '../platform/errors.ts';

/** A script's runner has ended it by then, whatever it waits for. */
const SLACK_SECONDS = 60;

/** The feature store, as supervisions give scripts access to it. */
export interface FeatureStoreOfScripts {
  readonly settings: FeatureStoreSettings;
  readonly database: FeaturesDatabase;
  readonly roles: ScriptRoles;
}

/** The store's parts that a process uses alone; it disposes of the database. */
export function featureStoreOfScripts(settings: FeatureStoreSettings): FeatureStoreOfScripts {
  const database = new FeaturesDatabase(settings.databaseUrl);
  return { settings, database, roles: new ScriptRoles(database, settings.databaseUrl) };
}

/**
 * The `feature_store.yaml` of an attempt's script, with a role that is made for it. A job is not worth less when that cannot be done: then its
 * log says so, and what its script asks of the feature store fails.
 * @param options.seconds how long the script may run
 */
export async function featureAccess(
  { settings, database, roles }: FeatureStoreOfScripts,
  options: { holder: RoleHolder; seconds: number; say: (text: string) => Promise<void> },
): Promise<string | undefined> {
  const { holder, seconds, say } = options;
  try {
    const url = await roles.make(holder, new Date(Date.now() + (seconds + SLACK_SECONDS) * 1000));
    if (!(await hasViews(database)))
      await say('The feature store has no feature view yet: make one before a script reads it');
    const trouble = readKeyTrouble(settings);
    if (trouble !== null) await say(`The script may not be able to read features: ${trouble}`);
    return yamlText(featureStoreYaml(readersSettings(settings, url)));
  } catch (error) {
    await say(`The script has no access to the feature store, and its calls of feast will fail: ${messageOf(error)}`);
    return undefined;
  }
}

/** Whether there is any feature view. Feast makes its tables with the first. */
export async function hasViews({ pool }: Pick<FeaturesDatabase, 'pool'>): Promise<boolean> {
  const table = `${SCHEMAS.registry}.feature_views`;
  const { rows } = await pool.query<{ is: boolean }>('SELECT to_regclass($1) IS NOT NULL AS is', [table]);
  if (rows[0]?.is !== true) return false;
  return (await pool.query(`SELECT FROM ${table} LIMIT 1`)).rowCount === 1;
}

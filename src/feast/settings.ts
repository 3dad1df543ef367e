import { isAbsolute } from 'node:path';

/** Of Feast's registry, Iceberg's SQL catalog and Feast's online values: the schemas of one database. */
export const SCHEMAS = { registry: 'feast_registry', catalog: 'iceberg_catalog', online: 'feast_online' } as const;
/** The name of the platform's catalog. A SQL catalog's rows bear it: under another name its tables are not found. */
const CATALOG = 'iceberg';
/** Feast's name of what the registry's rows belong to. */
const PROJECT = 'asgard';
const OFFLINE_STORE = 'asgard_feast.offline.IcebergOfflineStore';
const CONNECT_TIMEOUT_SECONDS = 5;
const STATEMENT_TIMEOUT_MS = 60_000;
/** What a PostgreSQL URL may hold for libpq; Node's and Prisma's own parameters are unknown to it. */
const LIBPQ = new Set(['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslcrl', 'channel_binding', 'gssencmode']);

/** What a feature store is configured with. It holds secrets. */
export interface FeatureStoreSettings {
  /** `postgresql://…` of the database with the three schemas. */
  readonly databaseUrl: string;
  /** A folder, or `s3://bucket/prefix`. */
  readonly warehouse: string;
  /** How the warehouse's files are reached, when it is not a folder: pyiceberg's names, `s3.endpoint` and so on. */
  readonly files: Readonly<Record<string, string>>;
  /** Properties of the catalog beside or in place of ours: `{ type: 'rest', uri: … }`. Empty for the SQL catalog. */
  readonly catalog: Readonly<Record<string, string>>;
}

type Yaml = { readonly [name: string]: string | number | boolean | Yaml };

/**
 * The content of a `feature_store.yaml`, of which JSON is a form.
 * Scripts' have the URL of a role that may only read, and files' properties of such a key.
 */
export function featureStoreYaml(settings: FeatureStoreSettings): Yaml {
  const { databaseUrl } = settings;
  return {
    project: PROJECT,
    provider: 'local',
    registry: {
      registry_type: 'sql',
      path: schemaUrl(databaseUrl, 'psycopg', SCHEMAS.registry),
      cache_ttl_seconds: 60,
      sqlalchemy_config_kwargs: { echo: false, pool_pre_ping: true },
    },
    offline_store: { type: OFFLINE_STORE, catalogs: { [CATALOG]: catalogProperties(settings) } },
    online_store: onlineStore(databaseUrl),
    entity_key_serialization_version: 3,
  };
}

/** pyiceberg's properties of the catalog. Nothing else knows of which type it is. */
function catalogProperties({ databaseUrl, warehouse, files, catalog }: FeatureStoreSettings): Record<string, string> {
  const hasOwnServer = catalog['type'] !== undefined || catalog['uri'] !== undefined;
  const sql = {
    type: 'sql',
    uri: schemaUrl(databaseUrl, 'psycopg2', SCHEMAS.catalog),
    pool_pre_ping: 'true',
    warehouse: warehouseLocation(warehouse),
  };
  return { ...(hasOwnServer ? {} : sql), ...files, ...catalog };
}

/** A folder as URL, as every tool of Iceberg's reads it; pyiceberg decodes nothing and ends a path at `?` and `#`. */
function warehouseLocation(warehouse: string): string {
  return isAbsolute(warehouse) && !/[?#]/.test(warehouse) ? `file://${warehouse}` : warehouse;
}

/** SQLAlchemy's URL of one schema of a database, with limits for what waits: `postgresql+psycopg://…?options=…`. */
function schemaUrl(databaseUrl: string, driver: 'psycopg' | 'psycopg2', schema: string): string {
  const url = new URL(databaseUrl);
  const kept = [...url.searchParams].filter(([name]) => LIBPQ.has(name));
  const options = [
    url.searchParams.get('options') ?? '',
    `-csearch_path=${schema}`,
    `-cstatement_timeout=${STATEMENT_TIMEOUT_MS}`,
  ];
  const parameters = new Map([
    ...kept,
    ['connect_timeout', String(CONNECT_TIMEOUT_SECONDS)],
    ['application_name', 'asgard-features'],
    ['options', options.join(' ').trim()],
  ]);
  const query = [...parameters].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return `postgresql+${driver}://${credentials(url)}${url.host}${url.pathname}?${query}`;
}

function credentials({ username, password }: URL): string {
  if (username === '') return '';
  return password === '' ? `${username}@` : `${username}:${password}@`;
}

function onlineStore(databaseUrl: string): Yaml {
  const url = new URL(databaseUrl);
  return {
    type: 'postgres',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 5432 : Number(url.port),
    database: decodeURIComponent(url.pathname.slice(1)),
    db_schema: SCHEMAS.online,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    // Feast's own default demands TLS, and hides for half a minute that there is none.
    sslmode: url.searchParams.get('sslmode') ?? 'prefer',
  };
}

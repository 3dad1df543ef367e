import { isAbsolute } from 'node:path';
import { type FeaturesConfig, isS3 } from '../config-features.ts';
import type { S3Settings } from '../config-s3.ts';
import type { Yaml } from './yaml.ts';

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

/** A server without a region of its own minds none, and pyiceberg asks AWS for one that is not named. */
const ANY_REGION = 'us-east-1';
const S3_TIMEOUT_SECONDS = { connect: '5', request: '30' };
/** By which pyiceberg looks for no key at all. */
const ANONYMOUS = 's3.anonymous';
/** Names of catalog properties that hold a secret, in any catalog that pyiceberg knows. */
const SECRET_PROPERTY = /token|credential|secret|password|key|sas|auth|signer/i;

/** What a feature store is configured with. It holds secrets. */
export interface FeatureStoreSettings {
  /** `postgresql://…` of the database with the three schemas. */
  readonly databaseUrl: string;
  /** A folder, or `s3://bucket/prefix`. */
  readonly warehouse: string;
  /** How the warehouse's files are reached, by pyiceberg's names (`s3.endpoint` and so on); empty when it is a folder. */
  readonly files: Readonly<Record<string, string>>;
  /** The same for scripts. */
  readonly readerFiles: Readonly<Record<string, string>>;
  /** Properties of the catalog beside or in place of ours: `{ type: 'rest', uri: … }`. Empty for the SQL catalog. */
  readonly catalog: Readonly<Record<string, string>>;
}

/** @param databaseUrl what it comes to when the configuration names none */
export function featureStoreSettings(config: FeaturesConfig, databaseUrl: string): FeatureStoreSettings {
  const { warehouse, s3, readKey, catalog } = config;
  const files = s3 === undefined ? {} : s3Properties(s3);
  return {
    databaseUrl: config.databaseUrl ?? databaseUrl,
    warehouse,
    files,
    readerFiles: s3 === undefined ? {} : { ...files, ...readerProperties(readKey) },
    catalog,
  };
}

/**
 * What scripts are told of the same store: no secret of the platform's.
 * @param databaseUrl that of a role which may only read
 */
export function readersSettings(settings: FeatureStoreSettings, databaseUrl: string): FeatureStoreSettings {
  const { readerFiles: files } = settings;
  const open = Object.entries(settings.catalog).filter(([name]) => !SECRET_PROPERTY.test(name));
  const catalog = Object.fromEntries(open.map(([name, value]) => [name, name === 'uri' ? withoutUser(value) : value]));
  return { ...settings, databaseUrl, files, catalog };
}

/** One line, when scripts were given no key of their own for a warehouse that needs one; else null. */
export function readKeyTrouble({ warehouse, readerFiles }: FeatureStoreSettings): string | null {
  if (readerFiles[ANONYMOUS] === undefined) return null;
  return `scripts have no key for ${warehouse} and read only what everybody may: set ICEBERG_READ_ACCESS_KEY_ID and ICEBERG_READ_SECRET_ACCESS_KEY`;
}

/** Whether the catalog is the one in the database. */
export function hasOwnCatalog({ catalog }: FeatureStoreSettings): boolean {
  return catalog['type'] === undefined && catalog['uri'] === undefined;
}

/**
 * The folder that the catalog puts tables' files into; undefined when they go to a bucket, or to where the server of another
 * catalog has them, for which a warehouse is a name.
 */
export function warehouseFolder(settings: FeatureStoreSettings): string | undefined {
  const folder = catalogProperties(settings)['warehouse']?.replace(/^file:\/\//, '');
  return folder !== undefined && isAbsolute(folder) ? folder : undefined;
}

/**
 * The content of a `feature_store.yaml`, of which JSON is a form.
 * Scripts' have the URL of a role that may only read, and files' properties of such a key.
 * @param notReady why it cannot be used yet, which Feast says to whoever loads the file
 */
export function featureStoreYaml(settings: FeatureStoreSettings, notReady?: string): Yaml {
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
    offline_store: {
      type: OFFLINE_STORE,
      ...(notReady === undefined ? {} : { not_ready: notReady }),
      catalogs: { [CATALOG]: catalogProperties(settings) },
    },
    online_store: onlineStore(databaseUrl),
    entity_key_serialization_version: 3,
  };
}

/** pyiceberg's properties of the catalog. Nothing else knows of which type it is. */
function catalogProperties(settings: FeatureStoreSettings): Record<string, string> {
  const { databaseUrl, warehouse, files, catalog } = settings;
  const sql = {
    type: 'sql',
    uri: schemaUrl(databaseUrl, 'psycopg2', SCHEMAS.catalog),
    pool_pre_ping: 'true',
    warehouse: warehouseLocation(warehouse),
  };
  return { ...(hasOwnCatalog(settings) ? sql : {}), ...files, ...catalog };
}

/** A folder as URL, as every tool of Iceberg's reads it; pyiceberg decodes nothing, and ends a URL's path at `?` and `#`. */
function warehouseLocation(warehouse: string): string {
  return isS3(warehouse) || /[?#]/.test(warehouse) ? warehouse : `file://${warehouse}`;
}

function s3Properties({ region, endpoint, isPathStyle }: S3Settings): Record<string, string> {
  const usedRegion = region ?? (endpoint === undefined ? undefined : ANY_REGION);
  return {
    ...(endpoint === undefined ? {} : { 's3.endpoint': endpoint }),
    ...(usedRegion === undefined ? {} : { 's3.region': usedRegion }),
    ...(endpoint === undefined || isPathStyle ? {} : { 's3.force-virtual-addressing': 'true' }),
    's3.connect-timeout': S3_TIMEOUT_SECONDS.connect,
    's3.request-timeout': S3_TIMEOUT_SECONDS.request,
  };
}

/** Without a key scripts read what everybody may: they must not find another one on the machine. */
function readerProperties(readKey: FeaturesConfig['readKey']): Record<string, string> {
  if (readKey === undefined) return { [ANONYMOUS]: 'true' };
  return { 's3.access-key-id': readKey.id, 's3.secret-access-key': readKey.secret };
}

function withoutUser(uri: string): string {
  return uri.replace(/^([\w+.-]+:\/\/)[^/@]*@/, '$1');
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

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import type { SchemaEngine as Engine } from '@prisma/schema-engine-wasm/schema_engine_bg';
import type pg from 'pg';

/** PostgreSQL's numbers of the types `"char"` and `text`. */
const CHAR_OID = 18;
const TEXT_OID = 25;

/** Disposing frees the engine and closes its connections. */
export interface LoadedSchemaEngine extends AsyncDisposable {
  readonly engine: Engine;
}

/**
 * Prisma's schema engine as WebAssembly, bound to a database: what `prisma migrate` runs, without a downloaded binary.
 * @param schema the text of `schema.prisma`
 */
export async function loadSchemaEngine(url: string, schema: string): Promise<LoadedSchemaEngine> {
  bindings ??= instantiate();
  const { SchemaEngine } = await bindings;
  const factory = new MigrationAdapter({ connectionString: url, max: 2 });
  const adapter = bindMigrationAwareSqlAdapterFactory(factory);
  const engine = await SchemaEngine.new({ datamodels: [['schema.prisma', schema]] }, () => undefined, adapter);
  return {
    engine,
    [Symbol.asyncDispose]: async () => {
      engine.free();
      await Promise.all(factory.pools.map((pool) => (pool.ending ? undefined : pool.end())));
    },
  };
}

/** Once a process: the package's JavaScript keeps views of one instance's memory. */
let bindings: ReturnType<typeof instantiate> | undefined;

async function instantiate() {
  const module = await import('@prisma/schema-engine-wasm/schema_engine_bg');
  const file = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
  const code = await readFile(join(file, '..', 'schema_engine_bg.wasm'));
  // The package's own entry imports the .wasm file as a module, which Node does not do without a flag.
  const { instance } = await WebAssembly.instantiate(code, { './schema_engine_bg.js': importsOf(module) });
  module.__wbg_set_wasm(instance.exports);
  const start = instance.exports['__wbindgen_start'];
  if (typeof start === 'function') start();
  return module;
}

/** The engine never clears the timer that bounds its wait for a lock: left as it is, that keeps a process up for 10 seconds. */
function importsOf(module: object): WebAssembly.ModuleImports {
  const imports = Object.entries(module).map(([name, value]) => {
    if (!name.startsWith('__wbg_setTimeout_') || typeof value !== 'function') return [name, value];
    const setTimer = (...values: unknown[]) => {
      const timer: unknown = value(...values);
      if (timer instanceof Object && 'unref' in timer && typeof timer.unref === 'function') timer.unref();
      return timer;
    };
    return [name, setTimer];
  });
  return Object.fromEntries(imports);
}

type Connection = Awaited<ReturnType<PrismaPg['connect']>>;

/** The ordinary adapter, made ready for migrations. */
class MigrationAdapter extends PrismaPg {
  readonly pools: pg.Pool[] = [];

  override async connect(): Promise<Connection> {
    return this.#prepared(await super.connect());
  }

  override async connectToShadowDb(): Promise<Connection> {
    return this.#prepared(await super.connectToShadowDb());
  }

  #prepared(connection: Connection): Connection {
    this.pools.push(connection.underlyingDriver());
    allowWholeScripts(connection);
    allowCharColumns(connection);
    return connection;
  }
}

/**
 * The adapter cuts a script at each semicolon, also inside a function's body. PostgreSQL takes the whole text at once, and
 * runs it in one transaction: a migration then happens whole or not at all.
 */
function allowWholeScripts(connection: Connection): void {
  connection.executeScript = async (script) => {
    await connection.executeRaw({ sql: script, args: [], argTypes: [] });
  };
}

/** The adapter refuses columns of type "char", which the engine reads from the system's tables. Here they pass it as text. */
function allowCharColumns(connection: Connection): void {
  const pool = connection.underlyingDriver();
  const query = pool.query.bind(pool);
  const charColumns = new WeakMap<object, number[]>();
  Object.assign(pool, {
    query: async (config: pg.QueryArrayConfig) => {
      const result = await query(config);
      const found = (result.fields ?? []).flatMap((field, index) => (field.dataTypeID === CHAR_OID ? [index] : []));
      for (const index of found) Object.assign(result.fields[index] ?? {}, { dataTypeID: TEXT_OID });
      if (found.length > 0) charColumns.set(result.rows, found);
      return result;
    },
  });
  const queryRaw = connection.queryRaw.bind(connection);
  connection.queryRaw = async (statement) => {
    const result = await queryRaw(statement);
    for (const index of charColumns.get(result.rows) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  };
}

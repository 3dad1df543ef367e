import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { inheritedEnvironment, PROJECT_ROOT } from '../../src/config.ts';
import { type FeatureStoreSettings, featureStoreYaml } from '../../src/feast/settings.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from './data-folder.ts';

/** The types of a table's columns, by the words of `feast_sdk.py`. */
export type Columns = Readonly<Record<string, Kind | `${Kind}s`>>;
type Kind = 'long' | 'int' | 'double' | 'float' | 'string' | 'bool' | 'time' | 'date' | 'decimal' | 'bytes';
export type Row = Readonly<Record<string, unknown>>;

/** Another client of the same store: pyiceberg writing tables, Feast's SDK reading online values. One request at a time. */
export class FeastSdk implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  /** @param folder for its yaml */
  static async start(settings: FeatureStoreSettings, folder: string): Promise<FeastSdk> {
    const yaml = join(folder, 'sdk.yaml');
    await writeFile(yaml, JSON.stringify(featureStoreYaml(settings)));
    const child = spawn(toolchainPython(TOOLCHAIN), [join(PROJECT_ROOT, 'test/fixtures/feast_sdk.py')], {
      env: {
        ...inheritedEnvironment(),
        PYTHONOPTIMIZE: '1',
        PYTHONPATH: join(PROJECT_ROOT, 'python'),
        FEAST_FS_YAML_FILE_PATH: yaml,
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const sdk = new FeastSdk(child);
    await sdk.#line();
    return sdk;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on('data', (text) => {
      this.#errors = `${this.#errors}${text}`.slice(-4000);
    });
    if (child.stdout === null) throw new Error('the process has no output');
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Makes a table `schema.name` of these columns. @returns its snapshot */
  create(table: string, columns: Columns, rows: readonly Row[] = []): Promise<string> {
    return this.#ask({ do: 'create', table, columns, rows }, z.string());
  }

  append(table: string, columns: Columns, rows: readonly Row[]): Promise<string> {
    return this.#ask({ do: 'append', table, columns, rows }, z.string());
  }

  /** Puts the rows in place of those that a filter of pyiceberg's chooses. */
  overwrite(table: string, columns: Columns, where: string, rows: readonly Row[]): Promise<string> {
    return this.#ask({ do: 'overwrite', table, columns, where, rows }, z.string());
  }

  delete(table: string, where: string): Promise<string> {
    return this.#ask({ do: 'delete', table, where }, z.string());
  }

  /**
   * `FeatureStore.get_online_features`: what `feast serve` gives of each feature, and by `<feature>__ts` the seconds of its time.
   * @param features `view:feature` each, or a service
   */
  online(
    features: readonly string[] | string,
    entities: Readonly<Record<string, readonly unknown[]>>,
    fullFeatureNames = false,
  ) {
    const ask = { do: 'online', features, entities, full_feature_names: fullFeatureNames };
    return this.#ask(ask, z.record(z.string(), z.array(z.unknown())));
  }

  /** `FeatureStore.apply` of something that the platform does not make; see the functions of that name in `feast_sdk.py`. */
  async apply(what: 'view' | 'service' | 'on demand', of: object): Promise<void> {
    await this.#ask({ do: what, ...of }, z.null());
  }

  /** `FeatureStore.write_to_online_store`: Feast's own writing of online values. */
  async write(view: string, columns: Columns, rows: readonly Row[]): Promise<void> {
    await this.#ask({ do: 'write', view, columns, rows }, z.null());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.stdin?.end();
    await once(this.#child, 'close');
  }

  async #ask<T>(ask: object, schema: z.ZodType<T>): Promise<T> {
    this.#child.stdin?.write(`${JSON.stringify(ask)}\n`);
    return schema.parse(JSON.parse(await this.#line()));
  }

  async #line(): Promise<string> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done === true) throw new Error(`Feast's SDK ended: ${this.#errors}`);
      // What Feast prints of itself is no answer.
      if (/^(ready$|["{[]|null$)/.test(value)) return value;
    }
  }
}

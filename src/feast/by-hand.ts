import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { PROJECT_ROOT } from '../config.ts';
import { untilAborted } from '../platform/abort.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { FeaturesDatabase } from './database.ts';
import { makeReaders } from './readers.ts';
import { RepositoryFolder } from './repository-folder.ts';
import { type FeatureStoreSettings, featureStoreYaml, readersSettings } from './settings.ts';
import { yamlText } from './yaml.ts';

/** A role outlives a platform that was killed by no more than that. */
const VALID_HOURS = 24;
const RENEW_MS = 6 * 3600 * 1000;
/** While the database is away, another platform has the folder, or there was never a feature view. */
const RETRY_MS = 5_000;
/** Feast's tables are made with the first feature view, and a reader's Feast would tell only that it may not make them. */
const NOT_READY =
  'there is no feature view yet: make one (POST /feast/features), and seconds later this file is one that Feast can read';
const CONNECTIONS = 20;

export interface FeastByHandOptions {
  /** `FEAST_REPO_PATH` */
  readonly path: string;
  readonly dataFolder: string;
  /** That has Feast. */
  readonly python: string;
  readonly settings: FeatureStoreSettings;
  readonly database: Pick<FeaturesDatabase, 'pool' | 'look'>;
  readonly logger: Logger;
  /** Runs when the folder cannot be had, saying why, and with null when it can be after all. */
  readonly onTrouble: (trouble: string | null) => void;
}

/**
 * Keeps a `feature_store.yaml` on this machine for whoever uses Feast there by hand, as soon as the database answers, with a
 * role that reads what scripts may read. While another platform has the folder it waits for its turn. Disposing removes the
 * file; the role is no use a day later.
 */
export class FeastByHand implements AsyncDisposable {
  readonly #options: FeastByHandOptions;
  readonly #password = randomBytes(24).toString('base64url');
  readonly #stop = new AbortController();
  readonly #keeping: Promise<void>;

  constructor(options: FeastByHandOptions) {
    this.#options = options;
    this.#keeping = this.#keep();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#keeping;
  }

  async #keep(): Promise<void> {
    const { path, logger, onTrouble } = this.#options;
    const { signal } = this.#stop;
    for (let trouble: string | null = null; !signal.aborted; ) {
      try {
        await using folder = await this.#take();
        if (trouble !== null) onTrouble(null);
        trouble = null;
        await this.#keepIn(folder);
      } catch (error) {
        if (signal.aborted) return;
        const next = messageOf(error);
        if (next !== trouble) {
          logger.warn({ path, problem: next }, 'feast_repository.not_kept');
          onTrouble(next);
        }
        trouble = next;
        await this.#pause(RETRY_MS);
      }
    }
  }

  #take(): Promise<RepositoryFolder> {
    return RepositoryFolder.take(this.#options.path, this.#options.dataFolder);
  }

  /** Until the platform ends, or the folder cannot be written. */
  async #keepIn(folder: RepositoryFolder): Promise<void> {
    const { signal } = this.#stop;
    let written = '';
    let [url, renewAt]: [string | null, number] = [null, 0];
    while (!signal.aborted) {
      const hasRegistry = await untilAborted(this.#hasRegistry(), signal);
      if (hasRegistry !== null && performance.now() >= renewAt) {
        url = await untilAborted(this.#renewRole(), signal);
        if (url !== null) renewAt = performance.now() + RENEW_MS;
      }
      const text = hasRegistry === null || url === null ? written : this.#text(url, hasRegistry);
      if (text !== written) {
        await folder.write(text);
        this.#options.logger.info({ path: this.#options.path }, 'feast_repository.written');
        written = text;
      }
      await this.#pause(hasRegistry === true && url !== null ? RENEW_MS : RETRY_MS);
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    await delay(milliseconds, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
  }

  /** Whether Feast's tables are there; null while the database is away, which the store's health tells of. */
  async #hasRegistry(): Promise<boolean | null> {
    try {
      return (await this.#options.database.look(this.#stop.signal)).hasRegistry; // which makes the schemas
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'feast_repository.no_database');
      return null;
    }
  }

  /** @returns the database's URL with it; null while it cannot be made, which the store's health tells of */
  async #renewRole(): Promise<string | null> {
    const { database, dataFolder, settings, logger } = this.#options;
    const key = createHash('sha256').update(`${hostname()}:${dataFolder}`).digest('hex');
    const name = `asgard_hand_${key.slice(0, 16)}`;
    const validUntil = new Date(Date.now() + VALID_HOURS * 3600 * 1000).toISOString();
    try {
      const group = await makeReaders(database.pool);
      const { rowCount } = await database.pool.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
      if (rowCount === 0) await database.pool.query(`CREATE ROLE ${name}`);
      await database.pool.query(`
        GRANT ${group} TO ${name};
        ALTER ROLE ${name} LOGIN PASSWORD ${pg.escapeLiteral(this.#password)} CONNECTION LIMIT ${CONNECTIONS}
          VALID UNTIL ${pg.escapeLiteral(validUntil)};
        ALTER ROLE ${name} SET default_transaction_read_only = on`);
    } catch (error) {
      logger.debug({ err: error }, 'feast_repository.no_role');
      return null;
    }
    const url = new URL(settings.databaseUrl);
    url.username = name;
    url.password = this.#password;
    return url.href;
  }

  #text(url: string, hasRegistry: boolean): string {
    const { settings, python, dataFolder } = this.#options;
    return [
      `# Of the Asgard whose data folder is ${dataFolder}, which wrote it at its start and removes it at its end.`,
      '# It reads feature views and their tables, and writes nothing. It goes with:',
      `#   PYTHONPATH=${join(PROJECT_ROOT, 'python')} ${python}`,
      yamlText(featureStoreYaml(readersSettings(settings, url), hasRegistry ? undefined : NOT_READY)),
    ].join('\n');
  }
}

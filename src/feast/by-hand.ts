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
/** While the database is away. */
const RETRY_MS = 5_000;
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
  /** Runs once, when the folder cannot be had. */
  readonly onTrouble: (trouble: string) => void;
}

/**
 * Keeps a `feature_store.yaml` on this machine for whoever uses Feast there by hand, as soon as the database answers, with a
 * role that reads what scripts may read. Disposing removes the file; the role is no use a day later.
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
    const { path, dataFolder, logger, onTrouble } = this.#options;
    const { signal } = this.#stop;
    try {
      await using folder = await RepositoryFolder.take(path, dataFolder);
      for (let isWritten = false; !signal.aborted; ) {
        const url = await untilAborted(this.#renewRole(), signal);
        if (url !== null && !isWritten) {
          await folder.write(this.#text(url));
          logger.info({ path }, 'feast_repository.written');
          isWritten = true;
        }
        await delay(url === null ? RETRY_MS : RENEW_MS, undefined, { signal, ref: false }).catch(() => undefined);
      }
    } catch (error) {
      if (signal.aborted) return;
      logger.warn({ path, problem: messageOf(error) }, 'feast_repository.not_kept');
      onTrouble(messageOf(error));
    }
  }

  /** @returns the database's URL with it; null while it cannot be made, which the store's health tells of */
  async #renewRole(): Promise<string | null> {
    const { database, dataFolder, settings, logger } = this.#options;
    const key = createHash('sha256').update(`${hostname()}:${dataFolder}`).digest('hex');
    const name = `asgard_hand_${key.slice(0, 16)}`;
    const validUntil = new Date(Date.now() + VALID_HOURS * 3600 * 1000).toISOString();
    try {
      await database.look(this.#stop.signal); // which makes the schemas
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

  #text(url: string): string {
    const { settings, python, dataFolder } = this.#options;
    return [
      `# Of the Asgard whose data folder is ${dataFolder}, which wrote it at its start and removes it at its end.`,
      '# It reads feature views and their tables, and writes nothing. It goes with:',
      `#   PYTHONPATH=${join(PROJECT_ROOT, 'python')} ${python}`,
      yamlText(featureStoreYaml(readersSettings(settings, url))),
    ].join('\n');
  }
}

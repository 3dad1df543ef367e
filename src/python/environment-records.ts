import { hostname } from 'node:os';
import { Prisma, type PrismaClient } from '../database/generated/client.ts';
import type { Logger } from '../platform/logger.ts';
import type { BuildFacts, EnvironmentObserver } from './environment-observer.ts';
import type { Resolution } from './resolver.ts';

const { sql } = Prisma;

/** A use within this time of the one that was noted last is not noted: a job would pay for it. */
const USE_NOTED_MS = 60_000;
const MAX_REASON_CHARACTERS = 2000;

/**
 * What becomes of environments, for people to read: one row for each copy, by machine and folder. The folder itself decides
 * what is there, so a row that could not be written costs nothing, and is put right by the next use.
 */
export class EnvironmentRecords implements EnvironmentObserver {
  readonly #database: PrismaClient;
  readonly #machine = hostname();
  readonly #place: string;
  readonly #logger: Logger;
  readonly #noted = new Map<string, number>();

  /** @param options.folder where the environments are */
  constructor(options: { database: PrismaClient; folder: string; logger: Logger }) {
    this.#database = options.database;
    this.#place = options.folder;
    this.#logger = options.logger;
  }

  async building(hash: string, { lock, pythonVersion }: Resolution): Promise<void> {
    await this.#write(async () => {
      await this.#database.environment.createMany({
        data: [{ hash, lock, python: pythonVersion }],
        skipDuplicates: true,
      });
      await this.#database.$executeRaw`
        INSERT INTO environment_copies (environment_hash, machine, place, status)
        VALUES (${hash}, ${this.#machine}, ${this.#place}, 'BUILDING')
        ON CONFLICT (environment_hash, machine, place) DO UPDATE SET status = 'BUILDING', failure = NULL`;
    });
  }

  async used(hash: string, { lock, pythonVersion }: Resolution, facts: BuildFacts | null): Promise<void> {
    const now = Date.now();
    if (now - (this.#noted.get(hash) ?? 0) < USE_NOTED_MS) return;
    this.#noted.set(hash, now);
    const { seconds = null, bytes = null } = facts ?? {};
    await this.#write(async () => {
      await this.#database.environment.createMany({
        data: [{ hash, lock, python: pythonVersion }],
        skipDuplicates: true,
      });
      await this.#database.$executeRaw`
        INSERT INTO environment_copies (environment_hash, machine, place, status, build_seconds, size_bytes, last_used_at)
        VALUES (${hash}, ${this.#machine}, ${this.#place}, 'READY', ${seconds}, ${bytes}, now())
        ON CONFLICT (environment_hash, machine, place) DO UPDATE SET
          status = 'READY', failure = NULL, last_used_at = now(),
          build_seconds = coalesce(excluded.build_seconds, environment_copies.build_seconds),
          size_bytes = coalesce(excluded.size_bytes, environment_copies.size_bytes)`;
    });
  }

  failed(hash: string, reason: string): Promise<void> {
    const failure = reason.replaceAll('\0', '').slice(0, MAX_REASON_CHARACTERS);
    return this.#move(hash, sql`status = 'FAILED', failure = ${failure}`, sql`status = 'BUILDING'`);
  }

  evicted(hash: string): Promise<void> {
    this.#noted.delete(hash);
    return this.#move(hash, sql`status = 'EVICTED'`, sql`true`);
  }

  /** Of builds that began here and did not end, as far as the rows know. */
  async unfinished(): Promise<string[]> {
    const copies = await this.#database.environmentCopy.findMany({
      where: { machine: this.#machine, place: this.#place, status: 'BUILDING' },
      select: { environmentHash: true },
    });
    return copies.map(({ environmentHash }) => environmentHash);
  }

  #move(hash: string, change: Prisma.Sql, condition: Prisma.Sql): Promise<void> {
    return this.#write(
      () => this.#database.$executeRaw`
        UPDATE environment_copies SET ${change}
        WHERE environment_hash = ${hash} AND machine = ${this.#machine} AND place = ${this.#place} AND ${condition}`,
    );
  }

  async #write(write: () => Promise<unknown>): Promise<void> {
    await write().catch((error: unknown) => this.#logger.warn({ err: error }, 'environment.not_recorded'));
  }
}

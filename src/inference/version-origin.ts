import type { PrismaClient } from '../database/generated/client.ts';
import { makerOf } from '../jobs/version-maker.ts';
import type { ModelVersion } from '../mlflow/wire.ts';

const MAX_KEPT = 10_000;

/** What made a version; what is null is not known, or never was. */
export interface VersionOrigin {
  readonly runId: string | null;
  readonly jobId: string | null;
  /** Of the environment that its job ran in. */
  readonly environmentHash: string | null;
}

/** Tells what versions came out of. It never changes, so each is looked up once. */
export class VersionOrigins {
  readonly #database: PrismaClient;
  readonly #kept = new Map<string, VersionOrigin>();

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  async of(version: ModelVersion): Promise<VersionOrigin> {
    const key = `${version.name}/${version.version}/${version.createdAt.getTime()}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const maker = await makerOf(this.#database, version);
    const select = { environmentHash: true };
    const job = maker && (await this.#database.trainingJob.findUnique({ where: { id: maker.jobId }, select }));
    const origin = {
      runId: version.runId,
      jobId: maker?.jobId ?? null,
      environmentHash: job?.environmentHash ?? null,
    };
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, origin);
    return origin;
  }
}

import type { PrismaClient } from '../database/generated/client.ts';
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

  /** By the run first: what is known of a name and number may be of a model that was deleted. */
  async of({ name, version, runId, createdAt }: ModelVersion): Promise<VersionOrigin> {
    const key = `${name}/${version}/${createdAt.getTime()}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const select = { job: { select: { id: true, environmentHash: true } } };
    const made =
      (runId === null ? null : await this.#database.jobRun.findUnique({ where: { runId }, select })) ??
      (await this.#database.jobModelVersion.findUnique({ where: { name_version: { name, version } }, select }));
    const origin = { runId, jobId: made?.job.id ?? null, environmentHash: made?.job.environmentHash ?? null };
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, origin);
    return origin;
  }
}

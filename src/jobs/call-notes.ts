import { randomBytes } from 'node:crypto';
import type { PrismaClient } from '../database/generated/client.ts';
import type { CallNotes, NotedCall } from '../mlflow/calls-once.ts';
import type { JobIdentity } from '../mlflow/job-identity.ts';
import { AsgardError } from '../platform/errors.ts';

/** Notes of the calls to MLflow whose answers jobs' scripts may not have. Those of an attempt go when it ends. */
export class JobCallNotes implements CallNotes {
  readonly #database: PrismaClient;
  /** Tells what this process works on from what another left behind. */
  readonly #owner = randomBytes(12).toString('base64url');
  /** Answered, and not removed yet. */
  readonly #ended = new Set<bigint>();

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /** @throws AsgardError `CONFLICT` when the attempt has ended */
  async begin({ attemptId }: JobIdentity, digest: Buffer): Promise<NotedCall> {
    const mark = randomBytes(12).toString('hex');
    const [noted] = await this.#database.$queryRaw<{ id: bigint; mark: string; is_repeat: boolean }[]>`
      WITH left_behind AS (
        UPDATE job_call_notes SET owner = ${this.#owner} WHERE id = (
          SELECT id FROM job_call_notes
          WHERE attempt_id = ${attemptId}::bigint AND digest = ${digest} AND owner <> ${this.#owner}
          ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, mark
      ), noted AS (
        INSERT INTO job_call_notes (attempt_id, digest, mark, owner)
        SELECT id, ${digest}, ${mark}, ${this.#owner} FROM job_attempts
        WHERE id = ${attemptId}::bigint AND ended_at IS NULL AND NOT EXISTS (SELECT FROM left_behind)
        RETURNING id, mark
      )
      SELECT id, mark, true AS is_repeat FROM left_behind UNION ALL SELECT id, mark, false FROM noted`;
    if (noted === undefined) throw new AsgardError('CONFLICT', 'the attempt has ended');
    return { id: noted.id, mark: noted.mark, isRepeat: noted.is_repeat };
  }

  async end(id: bigint): Promise<void> {
    this.#ended.add(id);
    const ids = [...this.#ended];
    await this.#database.$executeRaw`DELETE FROM job_call_notes WHERE id = ANY(${ids})`;
    for (const each of ids) this.#ended.delete(each);
  }
}

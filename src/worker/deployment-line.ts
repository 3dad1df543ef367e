import type { TrainingJob } from '../database/generated/client.ts';
import type { JobEnd } from '../jobs/transitions.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** Has the log of a completed job that is to be deployed say what comes next: the alias is set after the job's last event. */
export async function withDeployment(
  { database }: Pick<SupervisorContext, 'database'>,
  { id: jobId, modelName: name }: Pick<TrainingJob, 'id' | 'modelName'>,
  end: JobEnd,
): Promise<JobEnd> {
  if (end.status !== 'COMPLETED') return end;
  const deployment = await database.deployment.findUnique({ where: { jobId } });
  if (deployment === null) return end;
  const { alias } = deployment;
  const { modelVersion: version = null } = end;
  const record =
    version === null
      ? null
      : await database.servableVersion.findUnique({ where: { name_version: { name, version }, jobId } });
  const line =
    version === null
      ? `✗ Nothing is deployed as ${alias}, as no model was registered`
      : record?.status === 'REFUSED'
        ? `✗ Version ${version} of ${name} is not deployed as ${alias}, as it cannot be served`
        : `→ Version ${version} of ${name} is deployed as ${alias} next: see GET /mlops/deployments/${jobId}`;
  return { ...end, lastLines: [...(end.lastLines ?? []), line] };
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { jobToken } from '../auth/credentials.ts';
import { type FeatureReads, featureReadReport } from '../jobs/feature-reads.ts';
import type { GatewayObserver } from '../mlflow/gateway-options.ts';
import { AsgardError } from '../platform/errors.ts';

/** Beside MLflow's own API, where scripts send what they tell the platform. */
const FEATURE_READS = '/api/2.0/asgard/feature-reads';
/** Of which some 350 KB may be rows. */
const MAX_BODY_BYTES = 1536 * 1024;
/** That are told of a bad report. */
const MAX_ISSUES = 5;

export interface JobReportOptions {
  readonly observer: Pick<GatewayObserver, 'authenticate'>;
  readonly featureReads: Pick<FeatureReads, 'record'>;
}

/**
 * What jobs' scripts tell the platform of themselves, by their tokens alone: `app.register(jobReports, options)`. Answers in
 * MLflow's shape, as all that scripts talk to does.
 */
export async function jobReports(app: FastifyInstance, { observer, featureReads }: JobReportOptions): Promise<void> {
  app.post(
    FEATURE_READS,
    { bodyLimit: MAX_BODY_BYTES, config: { face: 'mlflow' } },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const token = jobToken(request.headers);
      const identity = token === null ? null : await observer.authenticate(token);
      if (identity === null) {
        const message = "this takes the token of a running job's script: it is missing, unknown, or its job has ended";
        return reply.code(401).send({ error_code: 'UNAUTHENTICATED', message });
      }
      const parsed = featureReadReport.safeParse(request.body);
      if (!parsed.success) {
        const issues = parsed.error.issues.slice(0, MAX_ISSUES);
        return refuse(reply, issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
      }
      try {
        await featureReads.record(identity, parsed.data);
      } catch (error) {
        if (error instanceof AsgardError && error.code === 'INVALID_INPUT') return refuse(reply, error.message);
        throw error;
      }
      return reply.send({});
    },
  );
}

function refuse(reply: FastifyReply, message: string): FastifyReply {
  return reply.code(400).send({ error_code: 'INVALID_PARAMETER_VALUE', message });
}

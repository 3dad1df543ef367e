import { z } from 'zod';
import { SERVING_ALIAS } from '../jobs/deployments.ts';
import { featurePins } from '../jobs/feature-pins.ts';
import { type JobSubmission, jobSubmission } from '../jobs/submission.ts';
import { aliasName } from '../models/alias.ts';
import { knownFields } from './known-fields.ts';
import { looseInteger, orDefault } from './wire.ts';
import { components } from './wire-answers.ts';

/** What is uploaded, as `wire.ts` says. */

/** From this many characters on, text that is canonical base64 is meant as base64. */
const SURELY_BASE64 = 24;

/**
 * Base64 when it is canonical base64 (line breaks aside, as `base64` prints them) of UTF-8 text; any other text stands
 * for itself. Real scripts hold a space or a bracket, which base64 does not: null for 24 characters or more of base64
 * which hold something else than UTF-8 text.
 */
export function decodeScript(content: string): string | null {
  const packed = content.replace(/[\r\n]+/g, '');
  const bytes = Buffer.from(packed, 'base64');
  if (packed === '' || bytes.toString('base64') !== packed) return content;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return packed.length < SURELY_BASE64 ? content : null;
  }
}

const submission = jobSubmission.shape;

const scriptContent = z
  .string()
  .transform((content, context) => {
    const script = decodeScript(content);
    if (script !== null) return script;
    context.addIssue({ code: 'custom', message: 'is base64, but what it holds is not UTF-8 text' });
    return z.NEVER;
  })
  .pipe(submission.script);

const pins = featurePins.shape;

/** `features` of an upload. */
const featurePinsOnWire = knownFields(
  z.object({
    as_of: pins.asOf.unwrap().nullish().describe('Tables are read as they were at this time; without it as they are.'),
    snapshots: pins.snapshots
      .unwrap()
      .nullish()
      .describe('Snapshot ids, as text, of tables that are read at those.')
      .meta({
        examples: [{ 'iceberg.gold.customer_metrics': '8744736658442914487' }],
      }),
  }),
).transform(({ as_of: asOf, snapshots }) => ({ ...(asOf && { asOf }), ...(snapshots && { snapshots }) }));

/** The fields of an upload. `timeout` may be a numeric string; for `script_content` see `decodeScript`. */
const uploadFields = z.object({
  script_name: submission.scriptName.describe(
    'The file name of the script, without a folder: letters, digits, `_`, `.`, `-` and spaces.',
  ),
  script_content: scriptContent.describe('The script, up to 1 MiB: base64 of UTF-8, or plain text.').meta({
    minLength: 1,
    pattern: '^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$',
  }),
  experiment_name: submission.experimentName.describe('The MLflow experiment that its runs go to.'),
  model_name: submission.modelName.describe('The registered model that its model becomes a version of.'),
  requirements: orDefault(submission.requirements).describe(
    'Python packages beside the ones that are always there, as PEP 508 names them; no options, paths or URLs.',
  ),
  environment_vars: orDefault(submission.environmentVars).describe(
    'Variables that the script sees. Those of the platform cannot be replaced.',
  ),
  timeout: orDefault(submission.timeoutSeconds, looseInteger).describe(
    'Seconds that the job may take, its environment included.',
  ),
  tags: orDefault(submission.tags).describe('Tags of its MLflow runs and its model version.'),
  features: featurePinsOnWire
    .nullish()
    .describe('What its reads of the feature store are held to, so that they give the same rows again.'),
  grace_seconds: orDefault(submission.graceSeconds, looseInteger).describe(
    'Seconds that the script gets to end by itself when it is asked to, before it is killed.',
  ),
  retries: orDefault(submission.retries, looseInteger).describe(
    'How many attempts may follow the first, each with the whole time again, after pauses that double from 2 s on.',
  ),
  retry_on: z
    .enum(['infrastructure', 'any'])
    .nullish()
    .describe(
      'Which failures are tried again: those of what the script stands on (its machine, the database, MLflow, a package index), or its own and its time too. Never a cancelled job.',
    )
    .meta({ default: 'infrastructure' }),
  priority: orDefault(submission.priority, looseInteger).describe(
    'Jobs of a higher one start first; of equal ones the oldest.',
  ),
  idempotency_key: submission.idempotencyKey
    .unwrap()
    .nullish()
    .describe(
      'A text of your own choice. An upload with a key that a job has is answered with that job as it is now, whatever else is uploaded. The header `Idempotency-Key` says the same.',
    ),
});

function submissionOf(wire: z.output<typeof uploadFields>): JobSubmission {
  return {
    scriptName: wire.script_name,
    script: wire.script_content,
    experimentName: wire.experiment_name,
    modelName: wire.model_name,
    requirements: wire.requirements,
    environmentVars: wire.environment_vars,
    timeoutSeconds: wire.timeout,
    tags: wire.tags,
    features: wire.features ?? undefined,
    graceSeconds: wire.grace_seconds,
    retries: wire.retries,
    retryOn: wire.retry_on === 'any' ? 'ANY' : 'INFRASTRUCTURE',
    priority: wire.priority,
    idempotencyKey: wire.idempotency_key ?? undefined,
  };
}

const MEANT = { env: 'environment_vars', env_vars: 'environment_vars' };

const EXAMPLE = {
  script_name: 'churn_model_training.py',
  script_content: 'aW1wb3J0IG1sZmxvdwpwcmludCgiaGVsbG8iKQo=',
  experiment_name: 'customer_churn',
  model_name: 'churn_predictor',
  requirements: ['scikit-learn', 'pandas', 'numpy'],
  environment_vars: { DATA_PATH: '/data/customers.csv', USE_FEAST: 'true' },
  timeout: 300,
  tags: { version: '1.0', team: 'data-science' },
};

/** The body of an upload → a submission. */
export const uploadRequest = knownFields(uploadFields, MEANT)
  .transform(submissionOf)
  .meta({ description: 'A training script and how to run it.', examples: [EXAMPLE] })
  .register(components, { id: 'TrainingScriptUpload' });

/** The body of a deployment → a submission, and the alias that shall name what it registers. */
export const deployRequest = knownFields(
  uploadFields.extend({
    alias: orDefault(aliasName.default(SERVING_ALIAS)).describe(
      'The alias that names the version afterwards: letters, digits, `_` and `-`; neither `latest` nor a number nor `v1`.',
    ),
  }),
  MEANT,
)
  .transform((wire) => ({ submission: submissionOf(wire), alias: wire.alias }))
  .meta({
    description: 'A training script, how to run it, and what shall name its model.',
    examples: [{ ...EXAMPLE, alias: SERVING_ALIAS }],
  })
  .register(components, { id: 'DeploymentRequest' });

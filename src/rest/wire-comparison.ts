import { z } from 'zod';
import type { ModelVersionKey } from '../models/version-key.ts';

const MIN = 2;
const MAX = 10;
const JOB = '^[0-9a-f]{16}$';
const VERSION = '^.+/[1-9][0-9]{0,8}$';

function several(pattern: string, rule: string, what: string) {
  return z
    .preprocess(
      (value) => (typeof value === 'string' ? [value] : value),
      z
        .array(z.string().regex(new RegExp(pattern, 's'), rule))
        .min(MIN)
        .max(MAX)
        .optional(),
    )
    .describe(what)
    .meta({ wire: { type: 'array', items: { type: 'string', pattern }, minItems: MIN, maxItems: MAX } });
}

/** `?job=…&job=…`, or `?version=name/1&version=name/2`. */
export const comparisonQuery = z
  .object({
    job: several(JOB, 'must be the id of a job', 'A job; give the parameter 2 to 10 times.'),
    version: several(
      VERSION,
      'must be a model’s name, "/" and the number of a version',
      'A version, as `<model name>/<number>`; give the parameter 2 to 10 times.',
    ),
  })
  .transform(({ job, version }, context): { jobs: string[] } | { versions: ModelVersionKey[] } => {
    if (job !== undefined && version === undefined) return { jobs: job };
    if (version !== undefined && job === undefined) return { versions: version.map(versionOf) };
    context.addIssue({ code: 'custom', message: 'give either "job" or "version", 2 to 10 times' });
    return z.NEVER;
  });

function versionOf(text: string): ModelVersionKey {
  const slash = text.lastIndexOf('/');
  return { name: text.slice(0, slash), version: text.slice(slash + 1) };
}

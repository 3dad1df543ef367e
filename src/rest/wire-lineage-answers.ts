import { z } from 'zod';
import { components, featureRead, names, time, WIRE_STATUSES } from './wire-answers.ts';
import { modelVersion } from './wire-model-answers.ts';

/** What the API answers about where versions come from and how they differ, as `wire-answers.ts` says. */

const metricValue = z
  .union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])])
  .describe('A number, or the name of what is none.');

const runOrigin = z
  .object({
    run_id: z.string(),
    experiment_id: z.string(),
    name: z.string(),
    status: z.string(),
    params: names,
    metrics: z.record(z.string(), metricValue).describe('The newest value of each.'),
    started_at: time.nullable(),
    ended_at: time.nullable(),
  })
  .describe('The MLflow run that logged a version.')
  .register(components, { id: 'RunOrigin' });

const jobOrigin = z
  .object({
    job_id: z.string(),
    status: z.enum(WIRE_STATUSES),
    script_name: z.string(),
    script: z.string().describe('Its source text.'),
    experiment_name: z.string(),
    requirements: z.array(z.string()),
    created_at: time,
    completed_at: time.nullable(),
  })
  .describe('The job that a version came out of.')
  .register(components, { id: 'JobOrigin' });

const environmentOrigin = z
  .object({
    hash: z.string(),
    python_version: z.string(),
    packages: names.describe('The version of each package.'),
  })
  .describe('The Python environment that a version was trained in.')
  .register(components, { id: 'EnvironmentOrigin' });

export const versionLineage = modelVersion
  .extend({
    status: z.string().describe('MLflow’s word: `READY`, `PENDING_REGISTRATION` or `FAILED_REGISTRATION`.'),
    aliases: z.array(z.string()).describe('The aliases that name it.'),
    source: z.string().describe('What it was registered from.'),
    run: runOrigin.nullable().describe('Null when none logged it, or it is gone.'),
    job: jobOrigin.nullable().describe('Null when none made it.'),
    environment: environmentOrigin.nullable().describe('Null when no job made it.'),
    feature_reads: z.array(featureRead).describe('What it was trained with, in the order of the reads.'),
  })
  .describe('A version of a registered model, and where it comes from.')
  .register(components, { id: 'ModelVersionLineage' });

const compared = z
  .object({
    job_id: z.string().nullable(),
    run_id: z.string().nullable(),
    model_name: z.string().nullable().describe('Where versions are compared.'),
    model_version: z.string().nullable().describe('Where versions are compared.'),
  })
  .describe('One of those that are compared.')
  .register(components, { id: 'Compared' });

const texts = z.array(z.string().nullable()).describe('In the order of `compared`; null where there is none.');
const readOfView = z
  .object({ features: z.array(z.string()), tables: z.array(z.string()), snapshot_ids: z.array(z.string()) })
  .describe('What was read of one feature view.')
  .register(components, { id: 'FeaturesOfView' });

const difference = z
  .object({
    compared,
    script: z
      .object({
        unified: z
          .string()
          .nullable()
          .describe('As `diff -u` writes it; empty when both are the same, null when they have too little in common.'),
        added_lines: z.int().min(0),
        removed_lines: z.int().min(0),
        is_cut: z.boolean().describe('Whether the end was left out.'),
      })
      .nullable()
      .describe('Null when one of the two has none.'),
    python: z.object({ before: z.string(), after: z.string() }).nullable().describe('Null when both have the same.'),
    packages: z
      .array(z.object({ name: z.string(), before: z.string().nullable(), after: z.string().nullable() }))
      .nullable()
      .describe('Those that differ; null when one of the two has no environment.'),
    features: z
      .array(z.object({ feature_view: z.string(), before: readOfView.nullable(), after: readOfView.nullable() }))
      .describe('Feature views of which something else was read.'),
  })
  .describe('How one of those compared differs from the first.')
  .register(components, { id: 'Difference' });

export const comparison = z
  .object({
    compared: z.array(compared),
    params: z.array(z.object({ key: z.string(), is_same: z.boolean(), values: texts })),
    metrics: z.array(z.object({ key: z.string(), is_same: z.boolean(), values: z.array(metricValue.nullable()) })),
    is_cut: z
      .boolean()
      .describe('Whether some params or metrics were left out: of more than 2,000 those that are the same.'),
    differences: z.array(difference).describe('Of each but the first.'),
  })
  .describe('Jobs or versions side by side.')
  .register(components, { id: 'Comparison' });

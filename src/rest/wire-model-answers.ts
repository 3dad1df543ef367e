import { z } from 'zod';
import { components, names, servedModel, time, WIRE_STATUSES } from './wire-answers.ts';

/** What the API answers about registered models, as `wire-answers.ts` says. */

const compilation = z
  .object({
    status: z.enum(['pending', 'compiled', 'refused']),
    refusal: z.string().nullable().describe('Why it is not compiled, in one line.'),
    proof: z
      .object({
        rows: z
          .object({
            example: z.int().optional(),
            training: z.int().optional(),
            generated: z.int().optional(),
            splits: z.int().optional(),
          })
          .describe('How many rows both predicted, by where they are from.'),
        splits: z.int().describe('How many its trees make.'),
        splits_tested: z.int().describe('For how many of them rows to either side were compared.'),
        largest_difference: z.number().describe('Between two numbers, as a part of the larger.'),
        tolerance: z.number().describe('What that might have been.'),
        seconds: z.number().describe('How long compiling and comparing took.'),
        size_bytes: z.int().describe('Of the compiled model’s file.'),
      })
      .nullable()
      .describe('How it was made sure that it is the same; null while it is not compiled.'),
  })
  .describe('What came of compiling a version.')
  .register(components, { id: 'ModelCompilation' });

/** What is in `latest_versions`. */
export const modelVersion = z
  .object({
    name: z.string(),
    version: z.string(),
    stage: z.string().describe('`None`, `Staging`, `Production` or `Archived`.'),
    run_id: z.string().nullable(),
    description: z.string().nullable(),
    tags: names,
    created_at: time,
    updated_at: time,
    servable: z
      .boolean()
      .optional()
      .describe(
        'Whether it was loaded, and predicted an example where there was one; absent until it was tried, as all up to `engine` are.',
      ),
    refusal: z.string().nullable().optional().describe('Why it cannot be served, in one line.'),
    warning: z.string().nullable().optional().describe('Why it is served without having predicted anything.'),
    load_seconds: z.number().nullable().optional().describe('How long it took to be loaded.'),
    predict_p50_ms: z.number().nullable().optional().describe('The median of some predictions of the example.'),
    peak_memory_bytes: z.number().nullable().optional().describe('The most that its process held.'),
    tried_with: z
      .enum(['input_example', 'training_rows', 'signature', 'feature_names'])
      .nullable()
      .optional()
      .describe('What the example was made of; null when there was none: then it was only loaded.'),
    traceback: z.string().nullable().optional().describe('What Python said of its refusal; its end, when it is long.'),
    engine: z.enum(['python', 'onnx']).optional().describe('What runs it.'),
    compilation: compilation.optional().describe('Absent until it was seen to work.'),
    loaded: servedModel.optional().describe('How it is in memory; absent when it is not: its next use loads it.'),
  })
  .describe('A version of a registered model.')
  .register(components, { id: 'ModelVersion' });

export const registeredModel = z
  .object({
    name: z.string(),
    description: z.string().nullable(),
    tags: names,
    aliases: names.optional().describe('The number of the version that each alias names; absent when it has none.'),
    latest_versions: z.array(modelVersion).describe('The newest version of each stage that has one.'),
    created_at: time,
    updated_at: time,
  })
  .describe('A registered model.')
  .meta({
    examples: [
      {
        name: 'churn_predictor',
        description: null,
        tags: {},
        aliases: { champion: '1' },
        latest_versions: [
          {
            name: 'churn_predictor',
            version: '1',
            stage: 'None',
            run_id: '1234567890abcdef',
            description: null,
            tags: { team: 'data-science' },
            created_at: '2025-11-03T10:00:45',
            updated_at: '2025-11-03T10:00:45',
          },
        ],
        created_at: '2025-11-03T10:00:45',
        updated_at: '2025-11-03T10:00:45',
      },
    ],
  })
  .register(components, { id: 'RegisteredModel' });

export const registeredModels = z
  .array(registeredModel)
  .describe('All registered models, by name.')
  .register(components, { id: 'RegisteredModels' });

export const registration = z
  .object({
    model_name: z.string(),
    version: z.string(),
    run_id: z.string(),
    status: z.string().describe('MLflow’s word: `READY`.'),
    created_at: time,
  })
  .describe('The version that the model of a run has become.')
  .meta({
    examples: [
      {
        model_name: 'churn_predictor',
        version: '1',
        run_id: '1234567890abcdef',
        status: 'READY',
        created_at: '2025-11-03T10:00:45',
      },
    ],
  })
  .register(components, { id: 'Registration' });

export const modelAlias = z
  .object({
    model_name: z.string(),
    alias: z.string(),
    version: z.string().describe('The number of the version that it names.'),
  })
  .describe('An alias of a model.')
  .register(components, { id: 'ModelAlias' });

export const movedAlias = modelAlias
  .extend({
    previous_version: z
      .string()
      .nullable()
      .describe('The number of the version that it named before; null when there was no such alias.'),
  })
  .describe('An alias that names another version now.')
  .register(components, { id: 'MovedModelAlias' });

export const deletedAlias = modelAlias
  .describe('An alias that is gone, and what it named.')
  .register(components, { id: 'DeletedModelAlias' });

export const deletedModel = z
  .object({ name: z.string() })
  .describe('A registered model that is gone.')
  .register(components, { id: 'DeletedModel' });

export const deletedVersion = z
  .object({ name: z.string(), version: z.string() })
  .describe('A version that is gone.')
  .register(components, { id: 'DeletedModelVersion' });

export const modelVersionPage = z
  .object({
    versions: z.array(modelVersion).describe('The newest first.'),
    next_cursor: z.string().nullable().describe('Give it as `cursor` for the versions behind these; null at the end.'),
  })
  .describe('A page of the versions of a model.')
  .register(components, { id: 'ModelVersionPage' });

export const deployment = z
  .object({
    deployment_id: z.string(),
    status: z
      .enum(WIRE_STATUSES)
      .describe('`completed` once the alias names the version; `running` also while the alias is being set.'),
    job_id: z.string().describe('The job that makes the model.'),
    model_name: z.string(),
    model_version: z.string().nullable().describe('The version that the job has registered.'),
    alias: z.string().describe('The alias that names the version once it is deployed.'),
    previous_version: z.string().nullable().describe('What the alias named before, once it is deployed.'),
    error: z.string().nullable().describe('Why it failed: then the alias is where it was.'),
    created_at: time,
    completed_at: time.nullable(),
  })
  .describe('A job whose model is served once it works.')
  .meta({
    examples: [
      {
        deployment_id: '1e5dbcd1b3d68a33',
        status: 'completed',
        job_id: '1e5dbcd1b3d68a33',
        model_name: 'churn_predictor',
        model_version: '4',
        alias: 'champion',
        previous_version: '3',
        error: null,
        created_at: '2025-11-03T10:00:00',
        completed_at: '2025-11-03T10:00:46',
      },
    ],
  })
  .register(components, { id: 'Deployment' });

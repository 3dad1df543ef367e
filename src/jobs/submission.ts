import { z } from 'zod';
import { RetryOn } from '../database/generated/enums.ts';
import { modelName, tags } from '../models/naming.ts';
import { bounded } from '../platform/bounded.ts';
import { nameText, storableText } from '../platform/text.ts';
import { featurePins } from './feature-pins.ts';
import { requirement } from './requirement.ts';

/** The longest script in bytes of UTF-8. */
const MAX_SCRIPT_BYTES = 1024 * 1024;

const MAX_REQUIREMENTS = 200;
const MAX_VARIABLES = 200;
const MAX_VARIABLES_BYTES = 1024 * 1024;
const MAX_PRIORITY = 100;
const MAX_RETRIES = 10;

/** The OpenAPI document shows the pattern of `nameText`: many tools read no class of Unicode letters. */
const scriptName = nameText(255)
  .regex(
    /^[\p{L}\p{N}_][\p{L}\p{N}_. -]*$/u,
    'must be a plain file name: letters, digits, "_", ".", "-" and spaces, no folder',
  )
  .refine((value) => Buffer.byteLength(value) <= 255, 'must be at most 255 bytes');

const script = storableText(MAX_SCRIPT_BYTES)
  .refine((value) => value.trim() !== '', 'must not be empty')
  .refine((value) => Buffer.byteLength(value) <= MAX_SCRIPT_BYTES, `must be at most ${MAX_SCRIPT_BYTES} bytes`);

/**
 * Variables that the platform sets for every script, or that decide which interpreter and libraries run, or (INSPECT) hide
 * how the script ended. What it only suggests (the language, threads, matplotlib's backend, no telemetry) a job may set.
 */
const reservedVariable =
  /^(MLFLOW_(TRACKING_.*|EXPERIMENT_.*|RUN_ID|REGISTRY_URI)|ASGARD_.*|FEAST_REPO_PATH|FEAST_FS_YAML_FILE_PATH|PATH|HOME|TMPDIR|VIRTUAL_ENV|LD_.*|DYLD_.*|PYTHON(HOME|PATH|STARTUP|UNBUFFERED|USERBASE|PLATLIBDIR|EXECUTABLE|INSPECT))$/;

const environmentVars = z
  .record(
    z
      .string()
      .max(255)
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name: letters, digits and "_", not beginning with a digit')
      .refine((value) => !reservedVariable.test(value), 'is set by the platform and cannot be replaced'),
    storableText(32_768),
  )
  .meta({ maxProperties: MAX_VARIABLES })
  // The system refuses to start a process with more than about 2 MB of variables and arguments.
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= MAX_VARIABLES_BYTES, 'must be at most 1 MiB in all');

/** Visible ASCII, since it travels as a header too. */
export const idempotencyKey = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e]*$/, 'must be letters, digits and signs of ASCII, without blanks');

/** What a user hands in, parsed and complete with defaults. The one schema behind REST, GraphQL and the client. */
export const jobSubmission = z.object({
  scriptName,
  /** The script's text. */
  script,
  experimentName: nameText(500),
  modelName,
  requirements: bounded(z.array(requirement).max(MAX_REQUIREMENTS), MAX_REQUIREMENTS).default([]),
  environmentVars: bounded(environmentVars, MAX_VARIABLES).default({}),
  /** What it reads of the feature store; absent: the newest. */
  features: featurePins.optional(),
  /** From the claim of an attempt to its end, environment included. */
  timeoutSeconds: z.int().min(60).max(3600).default(300),
  /** How long a script that is asked to end may take before it is killed. */
  graceSeconds: z.int().min(0).max(60).default(10),
  /** How many attempts may follow the first, each with the whole time again. */
  retries: z.int().min(0).max(MAX_RETRIES).default(0),
  /** After which failures. */
  retryOn: z.enum(RetryOn).default('INFRASTRUCTURE'),
  /** Jobs of a higher one start first; of equal ones the oldest. */
  priority: z.int().min(-MAX_PRIORITY).max(MAX_PRIORITY).default(0),
  /** Handing in with a key that was used before gives the job of that time, whatever else is handed in. */
  idempotencyKey: idempotencyKey.optional(),
  /** They go to the job's MLflow runs and model version. */
  tags: tags.default({}),
});

export type JobSubmission = z.infer<typeof jobSubmission>;

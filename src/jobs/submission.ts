import { z } from 'zod';

/** The longest script in bytes of UTF-8. */
const MAX_SCRIPT_BYTES = 1024 * 1024;

const MAX_VARIABLES_BYTES = 1024 * 1024;

/** Text that every store on the way can hold: PostgreSQL and a process's environment refuse NUL, UTF-8 a lone surrogate. */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((value) => !value.includes('\0'), 'must not contain a NUL character')
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode');

const name = (maxLength: number) =>
  text(maxLength)
    .min(1)
    .refine((value) => value.trim() === value, 'must not begin or end with white space');

const scriptName = name(255)
  .regex(
    /^[\p{L}\p{N}_][\p{L}\p{N}_. -]*$/u,
    'must be a plain file name: letters, digits, "_", ".", "-" and spaces, no folder',
  )
  .refine((value) => Buffer.byteLength(value) <= 255, 'must be at most 255 bytes');

const script = text(MAX_SCRIPT_BYTES)
  .refine((value) => value.trim() !== '', 'must not be empty')
  .refine((value) => Buffer.byteLength(value) <= MAX_SCRIPT_BYTES, `must be at most ${MAX_SCRIPT_BYTES} bytes`);

const VERSION = '(===?|~=|!=|<=?|>=?) ?[A-Za-z0-9.*+!_-]+';
const VERSIONS = `${VERSION}( ?, ?${VERSION})*`;
/** For a text in which white space was made single blanks: with runs of it the time to refuse one would grow steeply. */
const PACKAGE = new RegExp(
  `^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])? ?(\\[[A-Za-z0-9._, -]*\\])? ?(${VERSIONS}|\\( ?${VERSIONS} ?\\))? ?(;[^@#/\\\\\r\n]*)?$`,
);
const MAX_REQUIREMENT = 500;

/**
 * A package as PEP 508 names it, without a URL: `scikit-learn`, `pandas[parquet]>=2,<3 ; python_version >= "3.11"`.
 * Options, paths and URLs are refused: they would let a job read the platform's files or another index.
 */
const requirement = text(MAX_REQUIREMENT).refine(
  (value) => value.length <= MAX_REQUIREMENT && PACKAGE.test(value.trim().replaceAll(/[ \t]+/g, ' ')),
  'must name a package as PEP 508 does, e.g. "pandas>=2,<3"; options, paths and URLs are not accepted',
);

/** Variables that the platform sets for every script, or that decide which interpreter and libraries run. */
const reservedVariable =
  /^(MLFLOW_(TRACKING_.*|EXPERIMENT_.*|RUN_ID|REGISTRY_URI)|ASGARD_.*|FEAST_REPO_PATH|FEAST_FS_YAML_FILE_PATH|PATH|HOME|TMPDIR|VIRTUAL_ENV|LD_.*|DYLD_.*|PYTHON(HOME|PATH|STARTUP|UNBUFFERED))$/;

/** z.record drops this key without a word, as assigning it would change the object's prototype. */
const withoutProto = z.unknown().superRefine((value, context) => {
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__')) {
    context.addIssue({ code: 'custom', path: ['__proto__'], message: 'is not a name that can be used' });
  }
});

const environmentVars = z
  .record(
    z
      .string()
      .max(255)
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name: letters, digits and "_", not beginning with a digit')
      .refine((value) => !reservedVariable.test(value), 'is set by the platform and cannot be replaced'),
    text(32_768),
  )
  .refine((value) => Object.keys(value).length <= 200, 'must have at most 200 variables')
  // The system refuses to start a process with more than about 2 MB of variables and arguments.
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= MAX_VARIABLES_BYTES, 'must be at most 1 MiB in all');

/** Tags go to the job's MLflow runs and model version: names are those that MLflow takes. */
const tagName = text(250).regex(/^[\w.:/ -]+$/, 'must be made of letters, digits and "_", "-", ".", ":", "/", " "');

const tags = z
  .record(tagName, text(5000))
  .refine((value) => Object.keys(value).length <= 100, 'must have at most 100 tags');

/** What a user hands in, parsed and complete with defaults. The one schema behind REST, GraphQL and the client. */
export const jobSubmission = z.object({
  scriptName,
  /** The script's text. */
  script,
  experimentName: name(500),
  /** MLflow names a version as `models:/<name>/<version>` or `models:/<name>@<alias>`. */
  modelName: name(250).regex(/^(?!\.\.|\.$)[^/:?@]+$/, 'must not contain "/", ":", "?" or "@", nor begin with ".."'),
  requirements: z.array(requirement).max(200).default([]),
  environmentVars: withoutProto.pipe(environmentVars).default({}),
  /** From claim to end, environment included. */
  timeoutSeconds: z.int().min(60).max(3600).default(300),
  tags: withoutProto.pipe(tags).default({}),
});

export type JobSubmission = z.infer<typeof jobSubmission>;

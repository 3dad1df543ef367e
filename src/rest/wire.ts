import { z } from 'zod';
import { type PredictionRequest, predictionRequest } from '../inference/service.ts';
import { type JobSubmission, jobSubmission } from '../jobs/submission.ts';
import { AsgardError } from '../platform/errors.ts';
import { fastApiMessage, toInputIssues } from './issues.ts';

/** The wire's names of a submission's fields. Errors are mapped back through the same table. */
const submissionNames = {
  scriptName: 'script_name',
  script: 'script_content',
  experimentName: 'experiment_name',
  modelName: 'model_name',
  requirements: 'requirements',
  environmentVars: 'environment_vars',
  timeoutSeconds: 'timeout',
  tags: 'tags',
} as const satisfies Record<keyof JobSubmission, string>;

const predictionNames = {
  modelName: 'model_name',
  modelVersion: 'model_version',
  inputs: 'inputs',
  returnProbabilities: 'return_probabilities',
} as const satisfies Record<keyof PredictionRequest, string>;

/** The wire's name of each field of the domain. */
export const WIRE_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries({ ...submissionNames, ...predictionNames }),
);

/** What is read more loosely than the domain does, by the domain's names. */
const readers: ReadonlyMap<string, (value: unknown) => unknown> = new Map([
  ['timeoutSeconds', looseInteger],
  ['modelVersion', (value: unknown) => (typeof value === 'number' ? String(value) : value)],
  ['returnProbabilities', looseBoolean],
]);

const scriptContent = z.string().transform((content, context) => {
  const script = decodeScript(content);
  if (script !== null) return script;
  context.addIssue({ code: 'custom', message: 'is base64, but what it holds is not UTF-8 text' });
  return z.NEVER;
});
const wireSubmission = jobSubmission.extend({ script: scriptContent.pipe(jobSubmission.shape.script) });

const uploadBody = z.preprocess((body) => toDomainNames(submissionNames, body), wireSubmission);
const inferenceBody = z.preprocess((body) => toDomainNames(predictionNames, body), predictionRequest);

/**
 * An upload's body → a submission. Unknown fields are ignored, `null` counts as absent, `timeout` may be a numeric
 * string, and `script_content` is base64 or plain text (see `decodeScript`).
 * @throws AsgardError INVALID_INPUT with every problem at once
 */
export function parseUpload(body: unknown): JobSubmission {
  return parse(uploadBody, body);
}

/**
 * An inference request's body, read as `parseUpload` reads its own. `model_version` is a number, a numeric string or
 * `"latest"`. Whether the columns fit the model is the model's to say.
 * @throws AsgardError INVALID_INPUT with every problem at once
 */
export function parseInference(body: unknown): PredictionRequest {
  return parse(inferenceBody, body);
}

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

function parse<Output>(schema: z.ZodType<Output>, body: unknown): Output {
  const parsed = schema.safeParse(body, { error: fastApiMessage, reportInput: true });
  if (parsed.success) return parsed.data;
  throw new AsgardError('INVALID_INPUT', 'the request body is not valid', {
    issues: toInputIssues(parsed.error.issues),
  });
}

function toDomainNames(names: Readonly<Record<string, string>>, body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  const given = new Map<string, unknown>(Object.entries(body));
  const input = Object.entries(names).map(([name, wireName]) => {
    const value = given.get(wireName);
    return [name, readers.get(name)?.(value) ?? value];
  });
  return Object.fromEntries(input.filter(([, value]) => value !== null));
}

function looseInteger(value: unknown): unknown {
  return typeof value === 'string' && /^\s*[+-]?\d{1,15}(\.0*)?\s*$/.test(value) ? Number(value) : value;
}

function looseBoolean(value: unknown): unknown {
  const word = typeof value === 'string' ? value.trim().toLowerCase() : value;
  if (word === 1 || word === '1' || word === 'true' || word === 'yes' || word === 'on') return true;
  if (word === 0 || word === '0' || word === 'false' || word === 'no' || word === 'off') return false;
  return value;
}

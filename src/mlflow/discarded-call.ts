import { z } from 'zod';
import { parseMlflowJson } from './json.ts';
import type { Observation } from './observation.ts';

/** What becomes of a call: an answer of the gateway's own and what it tells of the job, or a body to send in its place. */
type Discarded =
  | { readonly answer: object; readonly observation?: Observation }
  /** Sent to MLflow, whose answer is the script's, unless it is 404 and there is another; nothing is told of it. */
  | { readonly forward: string; readonly ifMissing?: object };

/** A call that would keep an artifact, or something that means nothing without one. */
export interface DiscardedCall {
  /** The body is an artifact's bytes: they are read and dropped, and `read` is given an empty text. */
  readonly isArtifact: boolean;
  /** Null when the call is to take its usual way after all: MLflow says what is wrong with a body, too. */
  read(body: string): Discarded | null;
}

/** MLflow counts versions from 1: this one is none of its own, and whatever names it is answered here too. */
const NO_VERSION = '0';

/**
 * What the gateway does with a call of a job's script while artifacts cannot be kept, or null for the usual way. The
 * script goes on as if all was well, which is what it was promised, and nothing stays that looks like a model:
 *
 * - an artifact is taken and dropped, and none is listed;
 * - MLflow 3's saved model is noted as one whose upload failed;
 * - a registration is answered with the version 0, and neither that version nor its model's name come into being.
 *
 * Prompts, which are kept in the same registry, have no artifacts and take their usual way.
 * @param url path and query as they were sent
 */
export function discardedCall(method: string, url: string): DiscardedCall | null {
  const [pathname = '', query = ''] = url.split('?', 2);
  const [, service, path = ''] = /^\/(?:ajax-)?api\/[\d.]+\/(mlflow(?:-artifacts)?)\/(.*)$/s.exec(pathname) ?? [];
  if (service === undefined) return null;
  if (service === 'mlflow-artifacts') return artifactCall(method, path);
  const searchParams = new URLSearchParams(query);
  const read = READERS.get(`${method} ${path.replace(/^logged-models\/[^/]+(?=$|\/tags$)/, 'logged-models/:id')}`);
  if (read === undefined) return null;
  return {
    isArtifact: false,
    read: (body) => {
      try {
        return read(body, searchParams);
      } catch {
        return null;
      }
    },
  };
}

function artifactCall(method: string, path: string): DiscardedCall | null {
  if (method === 'GET' && path === 'artifacts') return { isArtifact: false, read: () => ({ answer: { files: [] } }) };
  if (method !== 'PUT' || !path.startsWith('artifacts/')) return null;
  return { isArtifact: true, read: () => ({ answer: {}, observation: { type: 'discarded', registration: null } }) };
}

type Reader = (body: string, query: URLSearchParams) => Discarded | null;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [
    'PATCH logged-models/:id',
    (body) => ({ forward: body.replace('LOGGED_MODEL_READY', 'LOGGED_MODEL_UPLOAD_FAILED') }),
  ],
  ['PATCH logged-models/:id/tags', taggedModel],
  // MLflow 2's record of a saved model stays, as the record of what the script did; no model comes of it.
  ['POST runs/log-model', (body) => ({ forward: body })],
  ['POST registered-models/create', createdModel],
  ['POST model-versions/create', createdVersion],
  ['GET registered-models/get', (body, query) => aboutModel(body, Object.fromEntries(query))],
  ['PATCH registered-models/update', (body) => aboutModel(body, parseMlflowJson(body))],
  ['POST registered-models/set-tag', (body) => aboutModel(body, parseMlflowJson(body))],
  ['GET model-versions/get', (_body, query) => aboutNoVersion(Object.fromEntries(query))],
  ...[
    'PATCH model-versions/update',
    'POST model-versions/transition-stage',
    'POST model-versions/set-tag',
    'DELETE model-versions/delete-tag',
    'POST registered-models/alias',
  ].map((call): [string, Reader] => [call, (body) => aboutNoVersion(parseMlflowJson(body))]),
]);

const tags = z.array(z.object({ key: z.string(), value: z.string().default('') })).default([]);
const named = z.object({ name: z.string(), tags });

function createdModel(body: string): Discarded | null {
  const { name, tags: given } = named.parse(parseMlflowJson(body));
  if (isPrompt(given)) return null;
  return { answer: { registered_model: { name, ...times(), tags: given } } };
}

/** It may be there from before; else it is one that the script believes to have made. */
function aboutModel(body: string, request: unknown): Discarded | null {
  const parsed = z.object({ name: z.string() }).safeParse(request);
  if (!parsed.success) return null;
  return { forward: body, ifMissing: { registered_model: { name: parsed.data.name, ...times() } } };
}

function createdVersion(body: string): Discarded | null {
  const { name, tags: given } = named.parse(parseMlflowJson(body));
  if (isPrompt(given)) return null;
  return { answer: noVersion(name), observation: { type: 'discarded', registration: name } };
}

function aboutNoVersion(request: unknown): Discarded | null {
  const parsed = z.object({ name: z.string(), version: z.literal(NO_VERSION) }).safeParse(request);
  return parsed.success ? { answer: noVersion(parsed.data.name) } : null;
}

function noVersion(name: string) {
  const text = 'not registered: its artifacts were not saved (AWS S3 credentials not configured)';
  const version = { name, version: NO_VERSION, current_stage: 'None', ...times() };
  return { model_version: { ...version, status: 'READY', status_message: text } };
}

function times() {
  const now = Date.now();
  return { creation_timestamp: now, last_updated_timestamp: now };
}

/** MLflow's client notes the versions of a saved model at the model. */
function taggedModel(body: string): Discarded | null {
  const { tags: given } = z.object({ tags }).parse(parseMlflowJson(body));
  return given.length > 0 && given.every(({ key }) => key === 'mlflow.modelVersions') ? { answer: {} } : null;
}

function isPrompt(given: z.output<typeof tags>): boolean {
  return given.some(({ key, value }) => key === 'mlflow.prompt.is_prompt' && value.toLowerCase() === 'true');
}

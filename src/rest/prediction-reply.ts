import type { FastifyInstance, FastifyReply } from 'fastify';
import type { PredictionFeatures } from '../inference/entity-features.ts';
import type { Caller, FailedPrediction, Prediction } from '../inference/service.ts';
import { departureOf } from '../platform/departure.ts';
import { ONLINE_STATUSES } from './present-online.ts';
import { serverTiming } from './server-timing.ts';

/** What a header may say: an id of another registry may be any text. */
const PRINTABLE = /^[\x21-\x7e]{1,200}$/;

/** Headers of every answer to a request for predictions, and what they say. Of one that failed those that are known. */
export const PREDICTION_HEADERS = {
  'x-asgard-model-version': { type: 'string', description: 'The version that answered.' },
  'x-asgard-run-id': { type: 'string', description: 'The MLflow run that it was trained by; absent when not known.' },
  'x-asgard-job-id': { type: 'string', description: 'The job that it was trained by; absent when none was.' },
  'x-asgard-environment': { type: 'string', description: 'The hash of the environment that its job ran in.' },
  'x-asgard-engine': { type: 'string', description: 'What runs the model: `python` or `onnx`.' },
  'server-timing': {
    type: 'string',
    description:
      'Where the time went, in milliseconds: `parse`, `queue` (a load is in it), `features` (with `entities`), `predict`, `serialize`.',
  },
} as const;

/** A prediction's origin as the body of an answer has it. */
export function presentMetadata({ modelVersion, engine, origin, features }: Prediction) {
  return {
    model_version: modelVersion,
    run_id: origin.runId,
    job_id: origin.jobId,
    environment_hash: origin.environmentHash,
    engine,
    ...(features !== null && { features: presentFeaturesRead(features) }),
  };
}

function presentFeaturesRead({ views, missing }: PredictionFeatures) {
  return {
    views: views.map(({ name, oldestAt, oldestAgeSeconds }) => ({
      feature_view: name,
      oldest_event_timestamp: oldestAt?.toISOString() ?? null,
      oldest_age_seconds: oldestAgeSeconds,
    })),
    missing: missing.map(({ status, ...rest }) => ({ ...rest, status: ONLINE_STATUSES[status] })),
  };
}

interface Timed {
  readonly timings: FailedPrediction['timings'];
  /** Null of one that failed. */
  readonly modelName: string | null;
  serializedFrom: number;
}

/**
 * Has answers to predictions say in their headers what answered, or was to, and how long it took.
 * @returns `callerOf` a reply, for the service, and `describe`, to be called with each prediction before that is sent
 */
export function describePredictions(
  app: FastifyInstance,
  onSerialized: (modelName: string, milliseconds: number) => void,
) {
  const kept = new WeakMap<FastifyReply, Timed>();
  app.addHook('preSerialization', async (_request, reply, payload) => {
    const timed = kept.get(reply);
    if (timed !== undefined) timed.serializedFrom = performance.now();
    return payload;
  });
  app.addHook('onSend', async (_request, reply, payload) => {
    const timed = kept.get(reply);
    if (timed === undefined || timed.serializedFrom === 0) return payload;
    const serialize = performance.now() - timed.serializedFrom;
    if (timed.modelName !== null) onSerialized(timed.modelName, serialize);
    reply.header('server-timing', serverTiming(Object.entries({ ...timed.timings, serialize })));
    return payload;
  });
  const describe = (reply: FastifyReply, answer: Prediction | FailedPrediction): void => {
    const { timings, origin } = answer;
    const headers = {
      'x-asgard-model-version': answer.modelVersion,
      'x-asgard-run-id': origin.runId,
      'x-asgard-job-id': origin.jobId,
      'x-asgard-environment': origin.environmentHash,
      'x-asgard-engine': answer.engine,
    };
    for (const [name, value] of Object.entries(headers)) {
      if (value !== null && PRINTABLE.test(value)) reply.header(name, value);
    }
    kept.set(reply, { timings, modelName: 'modelName' in answer ? answer.modelName : null, serializedFrom: 0 });
  };
  const callerOf = (reply: FastifyReply): Caller => ({
    parseMs: reply.elapsedTime,
    signal: departureOf(reply.raw),
    onFailure: (failed) => describe(reply, failed),
  });
  return { callerOf, describe };
}

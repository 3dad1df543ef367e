import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { PROJECT_ROOT } from '../../src/config.ts';
import * as tensors from '../../src/rest/open-inference/wire.ts';
import { scoringAnswer, scoringBody } from '../../src/rest/scoring/wire.ts';
import { inferenceRequest, registrationRequest } from '../../src/rest/wire.ts';
import * as answers from '../../src/rest/wire-answers.ts';
import * as features from '../../src/rest/wire-feature-answers.ts';
import { featureServiceRequest, featureViewRequest } from '../../src/rest/wire-features.ts';
import * as models from '../../src/rest/wire-model-answers.ts';
import { aliasRequest, changeRequest } from '../../src/rest/wire-registry.ts';
import { deployRequest, uploadRequest } from '../../src/rest/wire-upload.ts';

const document = z
  .object({
    paths: z.record(
      z.string(),
      z.record(
        z.string(),
        z.object({
          operationId: z.string(),
          summary: z.string(),
          tags: z.array(z.string()).min(1),
          responses: z.record(
            z.string(),
            z.object({ description: z.string(), headers: z.record(z.string(), z.json()) }),
          ),
          requestBody: z.json().optional(),
        }),
      ),
    ),
    components: z.object({ schemas: z.record(z.string(), z.object({ description: z.string() }).loose()) }),
  })
  .parse(JSON.parse(await readFile(join(PROJECT_ROOT, 'schema/openapi.json'), 'utf8')));

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
);

test('the document has every path of the API', () => {
  expect(operations.map(({ name }) => name).toSorted()).toEqual(
    [
      'POST /mlops/training/upload',
      'GET /mlops/training/jobs',
      'GET /mlops/training/jobs/{job_id}',
      'GET /mlops/training/jobs/{job_id}/events',
      'POST /mlops/training/jobs/{job_id}/cancel',
      'GET /mlops/models',
      'GET /mlops/models/{name}',
      'PATCH /mlops/models/{name}',
      'DELETE /mlops/models/{name}',
      'GET /mlops/models/{name}/versions',
      'PATCH /mlops/models/{name}/versions/{version}',
      'DELETE /mlops/models/{name}/versions/{version}',
      'GET /mlops/models/{name}/aliases/{alias}',
      'PUT /mlops/models/{name}/aliases/{alias}',
      'DELETE /mlops/models/{name}/aliases/{alias}',
      'POST /mlops/registry',
      'GET /mlops/models/{name}/versions/{version}',
      'GET /mlops/compare',
      'POST /mlops/deploy',
      'GET /mlops/deployments/{deployment_id}',
      'POST /mlops/inference',
      'POST /mlops/models/{name}/invocations',
      'POST /mlops/models/{name}/versions/{version}/invocations',
      'GET /mlops/models/{name}/ping',
      'GET /mlops/models/{name}/versions/{version}/ping',
      'GET /v2',
      'GET /v2/health/live',
      'GET /v2/health/ready',
      'GET /v2/models/{name}',
      'GET /v2/models/{name}/ready',
      'POST /v2/models/{name}/infer',
      'GET /v2/models/{name}/versions/{version}',
      'GET /v2/models/{name}/versions/{version}/ready',
      'POST /v2/models/{name}/versions/{version}/infer',
      'GET /mlops/status',
      'GET /feast/features',
      'POST /feast/features',
      'GET /feast/features/{name}',
      'DELETE /feast/features/{name}',
      'POST /feast/features/service',
      'GET /feast/features/services',
      'GET /feast/features/services/{name}',
      'DELETE /feast/features/services/{name}',
      'GET /feast/status',
      'POST /feast/online',
      'POST /feast/materialize',
      'GET /feast/materializations/{materialization_id}',
      'GET /iceberg/tables',
      'GET /iceberg/tables/{schema}/{table}',
      'PUT /iceberg/tables/{schema}/{table}',
      'POST /iceberg/tables/{schema}/{table}',
      'DELETE /iceberg/tables/{schema}/{table}',
      'GET /healthz',
      'GET /readyz',
      'GET /metrics',
    ].toSorted(),
  );
});

describe('every operation', () => {
  test('has a name of its own', () => {
    const names = operations.map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(operations)('$name says what all may answer, each with the id of the request', ({ name, operation }) => {
    const statuses = Object.keys(operation.responses);
    const isOpen = name.endsWith('/healthz') || name.endsWith('/readyz');
    expect(statuses).toEqual(expect.arrayContaining(isOpen ? ['403', '500'] : ['401', '403', '429', '500', '503']));
    const takesBody = operation.requestBody !== undefined;
    // Other protocols say 400 of a request that is not valid.
    const invalid = / \/v2|\/invocations$/.test(name) ? '400' : '422';
    if (takesBody) expect(statuses).toEqual(expect.arrayContaining(['400', '413', '415', invalid]));
    for (const { headers } of Object.values(operation.responses))
      expect(Object.keys(headers)).toContain('x-request-id');
  });
});

test.each([
  ['TrainingScriptUpload', uploadRequest],
  ['DeploymentRequest', deployRequest],
  ['Deployment', models.deployment],
  ['InferenceRequest', inferenceRequest],
  ['InferRequest', tensors.inferRequest],
  ['InferAnswer', tensors.inferAnswer],
  ['InferenceModel', tensors.modelMetadata],
  ['ScoringRequest', scoringBody],
  ['ScoringAnswer', scoringAnswer],
  ['RegistrationRequest', registrationRequest],
  ['ModelAliasRequest', aliasRequest],
  ['ModelChange', changeRequest],
  ['TrainingJob', answers.trainingJob],
  ['TrainingJobWithLog', answers.trainingJobWithLog],
  ['RegisteredModel', models.registeredModel],
  ['Registration', models.registration],
  ['Prediction', answers.prediction],
  ['PlatformStatus', answers.platformStatus],
  ['FeatureViewRequest', featureViewRequest],
  ['FeatureServiceRequest', featureServiceRequest],
  ['AppliedFeatureView', features.appliedFeatureView],
  ['FeatureView', features.featureViewDetails],
  ['FeatureStoreStatus', features.featureStoreStatus],
  ['Readiness', answers.readiness],
])('the examples of %s are what it says', (id, schema) => {
  const { examples } = z.object({ examples: z.array(z.unknown()).min(1) }).parse(document.components.schemas[id]);
  for (const example of examples) expect(schema.safeParse(example).error).toBeUndefined();
});

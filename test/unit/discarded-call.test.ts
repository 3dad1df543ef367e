import { describe, expect, test } from 'vitest';
import { discardedCall } from '../../src/mlflow/discarded-call.ts';

const API = '/api/2.0/mlflow';
const PROMPT = [{ key: 'mlflow.prompt.is_prompt', value: 'true' }];

function read(method: string, path: string, body: object | string = '') {
  return discardedCall(method, path)?.read(typeof body === 'string' ? body : JSON.stringify(body));
}

describe('while artifacts cannot be kept', () => {
  test('an artifact is taken, at both of its addresses, and none is listed', () => {
    for (const start of ['/api', '/ajax-api']) {
      const call = discardedCall('PUT', `${start}/2.0/mlflow-artifacts/artifacts/1/x/artifacts/model/model.pkl`);
      expect(call?.isArtifact).toBe(true);
      expect(call?.read('')).toEqual({ answer: {}, observation: { type: 'discarded', registration: null } });
    }
    expect(read('GET', '/api/2.0/mlflow-artifacts/artifacts?path=1%2Fx')).toEqual({ answer: { files: [] } });
  });

  test('a saved model is noted as one whose upload failed', () => {
    const body = '{"model_id": "m-1", "status": "LOGGED_MODEL_READY"}';
    expect(read('PATCH', `${API}/logged-models/m-1`, body)).toEqual({
      forward: '{"model_id": "m-1", "status": "LOGGED_MODEL_UPLOAD_FAILED"}',
    });
  });

  test('a registration is answered with a version that MLflow never has, by which it can be named from then on', () => {
    const version = { name: 'churn', version: '0', status: 'READY' };
    expect(read('POST', `${API}/registered-models/create`, { name: 'churn' })).toMatchObject({
      answer: { registered_model: { name: 'churn' } },
    });
    expect(read('POST', `${API}/model-versions/create`, { name: 'churn', source: 'models:/m-1' })).toMatchObject({
      answer: { model_version: version },
      observation: { type: 'discarded', registration: 'churn' },
    });
    expect(read('GET', `${API}/model-versions/get?name=churn&version=0`)).toMatchObject({
      answer: { model_version: version },
    });
    const alias = { name: 'churn', alias: 'best', version: '0' };
    expect(read('POST', `${API}/registered-models/alias`, alias)).toMatchObject({ answer: {} });
    expect(read('GET', `${API}/registered-models/get?name=churn`)).toMatchObject({
      ifMissing: { registered_model: { name: 'churn' } },
    });
  });

  test.each([
    ['GET', '/api/2.0/mlflow-artifacts/artifacts/1/x/artifacts/note.txt', ''],
    ['DELETE', '/api/2.0/mlflow-artifacts/artifacts/1/x', ''],
    ['POST', '/api/2.0/mlflow-artifacts/mpu/create/1/x', ''],
    ['POST', `${API}/runs/create`, ''],
    ['POST', `${API}/model-versions/create`, { name: 'hello', tags: PROMPT }],
    ['POST', `${API}/registered-models/create`, { name: 'hello', tags: PROMPT }],
    ['GET', `${API}/model-versions/get?name=churn&version=3`, ''],
    ['POST', `${API}/registered-models/alias`, { name: 'churn', alias: 'best', version: '3' }],
    ['PATCH', `${API}/logged-models/m-1/tags`, { tags: [{ key: 'team', value: 'one' }] }],
    ['POST', `${API}/model-versions/create`, '{"name": '],
    ['POST', `${API}/model-versions/create`, '{"name": 5}'],
    ['PUT', '//', ''],
    ['GET', '/%', ''],
  ])('%s %s takes its usual way', (method, url, body) => {
    expect(read(method, url, body) ?? null).toBeNull();
  });
});

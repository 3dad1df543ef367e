import type { LoadRequest } from './load.ts';

/** One row of a model's inputs: its columns by name, in the order of the training data. */
export type Row = Readonly<Record<string, number | string>>;

/** How a kind of server is asked about one row. */
export interface Predictor {
  readonly path: string;
  readonly bodyOf: (row: Row) => object;
  /** What its answer with this prediction holds. */
  readonly answerWith: (prediction: number) => string;
}

/** Asgard's own API. */
export function asgardPredictor(model: string): Predictor {
  return {
    path: '/mlops/inference',
    bodyOf: (row) => ({
      model_name: model,
      inputs: Object.fromEntries(Object.entries(row).map(([column, value]) => [column, [value]])),
    }),
    answerWith: (prediction) => `"predictions":[${prediction}]`,
  };
}

export const MLFLOW_PREDICTOR: Predictor = {
  path: '/invocations',
  bodyOf: (row) => ({ dataframe_split: { columns: Object.keys(row), data: [Object.values(row)] } }),
  answerWith: (prediction) => `"predictions": [${prediction}]`,
};

export const BENTO_PREDICTOR: Predictor = {
  path: '/predict',
  bodyOf: (row) => ({ rows: [row] }),
  answerWith: (prediction) => `[${prediction}]`,
};

/**
 * Asks a server about each row. @returns its predictions, 0 or 1
 * @throws Error with the answer when one is neither
 */
export async function predictionsOf(url: string, predictor: Predictor, rows: readonly Row[]): Promise<number[]> {
  const predictions: number[] = [];
  for (const row of rows) predictions.push(await ask(url, predictor, row));
  return predictions;
}

async function ask(url: string, { path, bodyOf, answerWith }: Predictor, row: Row): Promise<number> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(bodyOf(row)) });
  const text = await response.text();
  const prediction = [0, 1].find((each) => text.includes(answerWith(each)));
  if (!response.ok || prediction === undefined) {
    throw new Error(`${url}${path} was answered ${response.status}: ${text}`);
  }
  return prediction;
}

/** The rows in turn, each with the answer that is the right one. */
export function requestsInTurn(
  predictor: Predictor,
  rows: readonly Row[],
  predictions: readonly number[],
): () => LoadRequest {
  const requests = rows.map((row, index): LoadRequest => {
    const { path, bodyOf, answerWith } = predictor;
    return { path, body: JSON.stringify(bodyOf(row)), expects: answerWith(predictions[index] ?? Number.NaN) };
  });
  let at = 0;
  return () => {
    const request = requests[at % requests.length];
    at += 1;
    if (request === undefined) throw new Error('there is nothing to ask');
    return request;
  };
}

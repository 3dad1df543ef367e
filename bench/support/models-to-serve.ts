import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Asgard, untilCompleted, upload } from './asgard.ts';
import type { Bench } from './bench.ts';
import { churnScript } from './churn.ts';
import type { Row } from './predictors.ts';

/** Logs the guide's forest once more by MLflow's own call, with the types of its columns. */
const LOG_FOREST = `
import sys
from mlflow.models import infer_signature
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model, name="model", serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
        signature=infer_signature(X_train, model.predict(X_train)),
    )
print("@environment", sys.prefix)
`;

/** A model that is trained to be served. */
export interface ModelToServe {
  /** As it is registered. */
  readonly name: string;
  readonly title: string;
  readonly rows: readonly Row[];
}

const PLANS = ['basic', 'family', 'plus', 'student'];

/** Customers of all kinds, the same ones in each run. */
const CUSTOMERS = Array.from({ length: 32 }, (_, number): Row => {
  return {
    support_tickets_count: (number * 7) % 11,
    days_since_last_purchase: (number * 37) % 180,
    total_purchases: 1 + ((number * 13) % 60),
    customer_lifetime_value: 51 + number * 93.25,
    account_age_days: 30 + ((number * 211) % 1970),
    avg_purchase_value: 25.5 + number,
  };
});

/** The guide's forest, and a gradient-boosted pipeline with a text among its columns. */
export const MODELS: readonly ModelToServe[] = [
  { name: 'forest', title: 'forest', rows: CUSTOMERS },
  {
    name: 'pipeline',
    title: 'pipeline',
    rows: CUSTOMERS.map((row, number) => ({ ...row, plan: PLANS[number % PLANS.length] ?? '' })),
  },
];

/**
 * Trains all of them on a platform.
 * @returns the folder of the Python environment that they were trained in
 */
export async function trainModels(bench: Bench, asgard: Asgard): Promise<string> {
  const churn = await churnScript(bench, asgard);
  const pipeline = await readFile(join(import.meta.dirname, 'train_pipeline.py'), 'utf8');
  let environmentFolder = '';
  for (const script of [
    { ...churn, name: 'forest', text: churn.text + LOG_FOREST },
    { ...churn, name: 'pipeline', text: pipeline },
  ]) {
    const id = await upload(asgard, script);
    await untilCompleted(asgard, id, (event) => {
      if (event.__typename === 'LogLine') environmentFolder ||= /^@environment (.+)$/.exec(event.text)?.[1] ?? '';
    });
  }
  return environmentFolder;
}

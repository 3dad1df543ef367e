import type { TestPlatform } from '../../test/support/data-folder.ts';
import { eventsOf } from '../../test/support/job-scripts.ts';
import { poll } from '../../test/support/poll.ts';

/** The environment that compiles may have to be made. */
const COMPILED_LIMIT_MS = 600_000;

/** Whoever kills its processes finds them by this name among all of the machine: no other test has a model of it. */
export const MODEL = 'served-under-stress';
export const SLOW_MODEL = 'slow';
/** Versions of `MODEL`, and which engine each comes to: what has two outputs stays in Python. */
export const VERSIONS = { 1: 'python', 2: 'onnx', 3: 'python' } as const;

/** What a version says of a row: a multiple of the sum of its columns, or that and its opposite. */
export function saidBy(version: string, sum: number): number | readonly number[] {
  const said = sum * (Number(version) + 1);
  return version === '2' ? said : [said, -said];
}

/** The one version of `SLOW_MODEL` takes a third of a second for each request. */
export const saidBySlow = (_version: string, sum: number): number => sum * 7;

const SCRIPT = `
import pickle, time, mlflow, numpy, pandas
from sklearn.linear_model import LinearRegression
frame = pandas.DataFrame({"a": [0.0, 1.0, 0.0, 2.0], "b": [0.0, 0.0, 1.0, 3.0]})
total = (frame["a"] + frame["b"]).to_numpy()
client = mlflow.MlflowClient()
client.create_registered_model("${MODEL}")
for factor in (2, 3, 4):
    target = factor * total if factor == 3 else numpy.stack([factor * total, -factor * total], axis=1)
    with mlflow.start_run() as run:
        with open("model.pkl", "wb") as file:
            pickle.dump(LinearRegression().fit(frame, target), file)
        mlflow.log_artifact("model.pkl", artifact_path="model")
        client.create_model_version("${MODEL}", f"{run.info.artifact_uri}/model", run.info.run_id)
class Slow(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(0.3)
        return (7 * (model_input["a"] + model_input["b"])).tolist()
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=Slow(), pip_requirements=["mlflow"])
`;

/** Has a job train the models, and waits until each is served by the engine that it comes to. */
export async function trainServed({ client }: TestPlatform): Promise<void> {
  const { id } = await client.submit({
    scriptName: 'serving.py',
    script: SCRIPT,
    experimentName: 'serving',
    modelName: SLOW_MODEL,
  });
  const events = await eventsOf(client, id);
  const checked = events.filter((event) => event.__typename === 'ModelChecked' && event.isServable).length;
  if (checked !== 4) {
    const lines = events.flatMap((event) => (event.__typename === 'LogLine' ? [event.text] : []));
    throw new Error(`${checked} of 4 models work: ${lines.slice(-20).join('\n')}`);
  }
  const engines = async () => {
    const versions = await Array.fromAsync(client.allModelVersions(MODEL));
    return Object.fromEntries(
      versions.map(({ version, tags }) => [version, tags.find(({ key }) => key === 'asgard.engine')?.value]),
    );
  };
  const isAsWished = (seen: Record<string, string | undefined>) => JSON.stringify(seen) === JSON.stringify(VERSIONS);
  await poll(engines, isAsWished, COMPILED_LIMIT_MS);
}

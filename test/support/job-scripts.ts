import type { AsgardClient, JobEvent } from '../../src/client/client.ts';

/** Prints its own process ids and refuses to end: it ignores SIGTERM, and so does a child in a session of its own. */
export const STUBBORN_SCRIPT = `
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('child', flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True, cwd="/")
for second in range(6000):
    print("tick", second, flush=True)
    time.sleep(0.1)
`;

/** Saves a model as the guide does, which predicts twice its input. */
export const MODEL_SCRIPT = `
import pathlib, pickle, mlflow, numpy
from sklearn.linear_model import LinearRegression
x = numpy.arange(4.0).reshape(-1, 1)
path = pathlib.Path("model.pkl")
path.write_bytes(pickle.dumps(LinearRegression().fit(x, x[:, 0] * 2)))
with mlflow.start_run():
    mlflow.log_metric("score", 1.0)
    mlflow.log_artifact(str(path), artifact_path="model")
`;

/** Hands in a script. @returns the job's id */
export async function submit(client: AsgardClient, script: string, modelName = 'unused'): Promise<string> {
  const input = { scriptName: 'script.py', script, experimentName: 'lifecycle', modelName, graceSeconds: 2 };
  return (await client.submit(input)).id;
}

/** All events of a job, once it has ended. */
export async function eventsOf(client: AsgardClient, jobId: string): Promise<JobEvent[]> {
  return Array.fromAsync(client.jobEvents(jobId));
}

import { MLFLOW_REST } from './training-scripts.ts';

/** A script that saves a pickle as the guide does, without any library: `run` is its run's id. */
export function savedPickle(pickle: string): string {
  return `${MLFLOW_REST}
run = mlflow_call("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
path = "/api/2.0/mlflow-artifacts/artifacts/0/" + run + "/artifacts/model/model.pkl"
mlflow_call(path, ${JSON.stringify(pickle)}.encode(), "PUT")
`;
}

import type { JobEvent } from '../../src/client/client.ts';

/** A part of a job's life in which the platform is killed. */
export interface Phase {
  readonly name: 'queued' | 'building' | 'starting' | 'printing' | 'ending' | 'registering';
  /** What the script does before its lines. */
  readonly before?: string;
  /** What it does beside each line. */
  readonly each?: string;
  /** What it does after them. */
  readonly after?: string;
  readonly pauseSeconds?: number;
  /** An event that comes when the phase has begun. */
  readonly isBegunBy: (event: JobEvent) => boolean;
  /** The moment is up to so much later. */
  readonly spanMs: number;
}

/** Each script prints so many. */
export const LINES = 20;

/** Logs a model, which the platform registers when the script has ended. */
const SAVE_MODEL = `
import pathlib, pickle, mlflow, numpy
from sklearn.linear_model import LinearRegression
x = numpy.arange(4.0).reshape(-1, 1)
pathlib.Path("model.pkl").write_bytes(pickle.dumps(LinearRegression().fit(x, x[:, 0] * 2)))
with mlflow.start_run():
    mlflow.log_artifact("model.pkl", artifact_path="model")
`;

export const PHASES: readonly Phase[] = [
  { name: 'queued', isBegunBy: (event) => isStatus(event, 'QUEUED'), spanMs: 300 },
  { name: 'building', isBegunBy: ({ __typename }) => __typename === 'EnvironmentLine', spanMs: 2_000 },
  { name: 'starting', isBegunBy: (event) => isStatus(event, 'PREPARING'), spanMs: 80 },
  {
    name: 'printing',
    before: 'import mlflow\nmlflow.start_run()',
    each: 'mlflow.log_metric("number", number, step=number)',
    pauseSeconds: 0.1,
    isBegunBy: (event) => isLine(event, 0),
    spanMs: 1_800,
  },
  { name: 'ending', after: 'time.sleep(0.1)', isBegunBy: (event) => isLine(event, LINES - 1), spanMs: 150 },
  { name: 'registering', before: SAVE_MODEL, isBegunBy: (event) => isLine(event, LINES - 1), spanMs: 80 },
];

/** A script that begins its life line, and prints its lines. */
export function scriptOf({ before = '', each = '', after = '', pauseSeconds = 0 }: Phase, lifeLine: string): string {
  return `
import os, time
os.write(os.open(${JSON.stringify(lifeLine)}, os.O_WRONLY), b"x")
${before}
for number in range(${LINES}):
    print("line", number, flush=True)
    ${each}
    time.sleep(${pauseSeconds})
${after}
`;
}

/** The part of its life that a job was in at a moment, by the times of its events; null: it had ended. */
export function phaseAt(events: readonly JobEvent[], moment: number): Phase['name'] | null {
  const isPast = (event: JobEvent | undefined) => event !== undefined && Date.parse(event.at) <= moment;
  const status = (name: string) => events.find((event) => isStatus(event, name));
  const registration = events.find(({ __typename }) => __typename === 'ModelRegistered');
  if (isPast(events.find(({ __typename }) => __typename === 'JobEnded'))) return null;
  if (isPast(events.find((event) => isLine(event, LINES - 1)))) {
    return registration === undefined || isPast(registration) ? 'ending' : 'registering';
  }
  if (isPast(events.find((event) => isLine(event, 0)))) return 'printing';
  if (!isPast(status('PREPARING'))) return 'queued';
  const isBuilding = isPast(events.find(({ __typename }) => __typename === 'EnvironmentLine'));
  return isBuilding && !isPast(status('RUNNING')) ? 'building' : 'starting';
}

function isStatus(event: JobEvent, status: string): boolean {
  return event.__typename === 'StatusChanged' && event.status === status;
}

function isLine(event: JobEvent, number: number): boolean {
  return event.__typename === 'LogLine' && event.text === `line ${number}`;
}

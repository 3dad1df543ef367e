import { startAsgard, untilCompleted, upload } from './support/asgard.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { churnScript } from './support/churn.ts';
import { type Figure, median } from './support/figures.ts';
import { startMlflowServer } from './support/mlflow.ts';
import { asgardJob, baseEnvironment, type JobTimes, rayJob, timed } from './support/python-jobs.ts';
import { Ray } from './support/ray.ts';

const LARGE_MIB = 64;

/** The guide's table of what a training costs beside the training itself, for the guide's own script. */
export const guideTable: Claim = {
  name: 'guide-table',
  title: "The guide's table",
  async measure(bench): Promise<Measured> {
    const asgard = await startAsgard(bench);
    const peer = await bench.own(startMlflowServer(bench));
    const churn = await churnScript(bench, asgard);
    const uploads = await artifactUploads(bench, asgard, peer.url);
    const { python } = await baseEnvironment(bench);
    const ray = await Ray.start(bench);
    const script = { ...churn, text: timed(churn.text) };
    const onRay = {
      ...script,
      variables: { ...script.variables, MLFLOW_TRACKING_URI: peer.url, MLFLOW_EXPERIMENT_NAME: script.name },
    };
    bench.say('training, in turn on Asgard and on Ray');
    const subjects = [() => asgardJob(asgard, script), () => rayJob(ray, python, onRay, bench.signal)];
    const [ours = [], theirs = []] = await alternately(bench.size(1, 7), subjects, bench.signal);
    const row = (what: string, promise: string, pick: (times: JobTimes) => number): Figure => ({
      what,
      promise,
      unit: 'ms',
      better: 'lower',
      ours: median(ours.map(pick)),
      peer: { name: 'Ray Jobs', value: median(theirs.map(pick)) },
    });
    return {
      figures: [
        row('script upload: request to acceptance', '< 1 s', ({ uploadMs }) => uploadMs),
        row("job queue time: acceptance to the script's first statement", '< 1 s', ({ queueMs }) => queueMs),
        ...uploads,
        row(
          "total overhead: upload to COMPLETED, less the script's own time",
          '< 10 s',
          ({ overheadMs }) => overheadMs,
        ),
      ],
      notes: [
        `Medians of ${ours.length} trainings each. Asgard's overhead includes that the model was registered; on Ray nothing registers it.`,
        "Ray gets the script in its command line, which spares it the package that its users upload, and is asked for the job's end every 20 ms.",
        `The artifacts are sent by one MLflow client, in turn through Asgard's gateway with the job's token and straight to an \`mlflow server\` with its defaults.`,
      ],
    };
  },
};

/** Runs as a job of Asgard, so that its client is what a job's client is. Prints the seconds of each upload. */
const UPLOADS = `
import os, pickle, time
import mlflow, numpy, pandas
from sklearn.ensemble import RandomForestClassifier

source = numpy.random.default_rng(0)
frame = pandas.DataFrame(source.random((2000, 6)), columns=list("abcdef"))
forest = RandomForestClassifier(n_estimators=100, max_depth=10, random_state=42).fit(frame, frame["a"] > frame["b"])
with open("model.pkl", "wb") as file:
    pickle.dump(forest, file)
with open("large.bin", "wb") as file:
    file.write(source.bytes(int(os.environ["LARGE_MIB"]) * 1024 * 1024))
print("@bytes", os.path.getsize("model.pkl"))
servers = {"ours": os.environ["MLFLOW_TRACKING_URI"], "peer": os.environ["PEER_URI"]}
for round in range(int(os.environ["ROUNDS"]) + 1):
    for name, uri in servers.items():
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("uploads")
        with mlflow.start_run():
            for path, folder in (("model.pkl", "model"), ("large.bin", "large")):
                started = time.perf_counter()
                mlflow.log_artifact(path, artifact_path=folder)
                if round > 0:  # the first one warms up
                    print("@upload", name, path, time.perf_counter() - started)
`;

async function artifactUploads(bench: Bench, asgard: Awaited<ReturnType<typeof startAsgard>>, peerUrl: string) {
  bench.say('artifact uploads, in turn through the gateway and to an MLflow server');
  const rounds = bench.size(2, 15);
  const variables = { PEER_URI: peerUrl, ROUNDS: String(rounds), LARGE_MIB: String(LARGE_MIB) };
  const id = await upload(asgard, { name: 'uploads', text: UPLOADS, variables });
  const times = new Map<string, number[]>();
  let modelBytes = 0;
  await untilCompleted(asgard, id, (event) => {
    if (event.__typename !== 'LogLine') return;
    const [mark, name, path, seconds] = event.text.split(' ');
    if (mark === '@bytes') modelBytes = Number(name);
    if (mark !== '@upload') return;
    const key = `${name} ${path}`;
    times.set(key, [...(times.get(key) ?? []), Number(seconds) * 1000]);
  });
  const row = (what: string, path: string): Figure => ({
    what,
    promise: '< 5 s',
    unit: 'ms',
    better: 'lower',
    ours: median(times.get(`ours ${path}`) ?? []),
    peer: { name: 'mlflow server', value: median(times.get(`peer ${path}`) ?? []) },
  });
  return [
    row(`model artifact upload: the guide's pickle, ${(modelBytes / 1024 ** 2).toFixed(1)} MiB`, 'model.pkl'),
    row(`artifact upload: ${LARGE_MIB} MiB`, 'large.bin'),
  ];
}

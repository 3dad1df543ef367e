/** A figure that the README shows, by its claim, its words and its peer. */
interface Highlight {
  readonly title: string;
  readonly claim: string;
  readonly what: string;
  readonly peer: string;
}

const IMPORTS = 'a script that imports mlflow, pandas and scikit-learn: from its submission to its end';
const SERVED = 'mlflow models serve';
const TAIL = "Ray's log tail";

export const HIGHLIGHTS: readonly Highlight[] = [
  {
    title: 'a script that imports mlflow, pandas and scikit-learn, whole',
    claim: 'job-overhead',
    what: IMPORTS,
    peer: 'plain subprocess',
  },
  { title: 'the same', claim: 'job-overhead', what: IMPORTS, peer: 'Ray Jobs' },
  {
    title: 'from printing a line to its arrival at the reader, median',
    claim: 'log-delay',
    what: 'a line, p50',
    peer: TAIL,
  },
  {
    title: 'the first line after 60 s of silence, p99',
    claim: 'log-delay',
    what: 'the first line after 60 s of silence, p99',
    peer: TAIL,
  },
  {
    title: 'a training set: a million rows against ten million',
    claim: 'historical-features',
    what: 'time',
    peer: "Feast's DuckDB store",
  },
  {
    title: "predictions by the guide's forest, compiled, 32 clients",
    claim: 'inference',
    what: 'forest, 32 clients, rate: compiled',
    peer: SERVED,
  },
  {
    title: 'by the same forest in Python',
    claim: 'inference',
    what: 'forest, 32 clients, rate: Python worker',
    peer: SERVED,
  },
  { title: 'the same', claim: 'inference', what: 'forest, 32 clients, rate: Python worker', peer: 'BentoML' },
  {
    title: 'status polls with 100,000 jobs',
    claim: 'many-jobs',
    what: 'status polls (`GET /mlops/training/jobs/{id}`)',
    peer: "MLflow's runs/get",
  },
  {
    title: 'from the command to the first answer',
    claim: 'start-and-rest',
    what: 'command to first answer',
    peer: 'mlflow server',
  },
  {
    title: 'memory at rest, MLflow and PostgreSQL included',
    claim: 'start-and-rest',
    what: 'memory at rest: all of Asgard',
    peer: 'mlflow server',
  },
];

import { guideTable } from './guide-table.ts';
import { historicalFeatures } from './historical-features.ts';
import { inference } from './inference.ts';
import { jobOverhead } from './job-overhead.ts';
import { logDelay } from './log-delay.ts';
import { manyJobs } from './many-jobs.ts';
import { manyLines } from './many-lines.ts';
import { onlineFeatures } from './online-features.ts';
import { startAndRest } from './start-and-rest.ts';
import type { Claim } from './support/bench.ts';

/** All that is measured, in the order of docs/benchmarks.md. */
export const CLAIMS: readonly Claim[] = [
  guideTable,
  jobOverhead,
  logDelay,
  manyLines,
  inference,
  historicalFeatures,
  onlineFeatures,
  manyJobs,
  startAndRest,
];

import type { JobSubmission } from '../../src/jobs/submission.ts';

/** A submission that is whole, as the domain takes it. */
export const SUBMISSION: Omit<JobSubmission, 'idempotencyKey'> = {
  scriptName: 'train.py',
  script: 'print("hello")\n',
  experimentName: 'churn',
  modelName: 'churn_model',
  requirements: [],
  environmentVars: {},
  timeoutSeconds: 300,
  tags: {},
  // What ignores SIGTERM holds a test up no longer.
  graceSeconds: 2,
  priority: 0,
  retries: 0,
  retryOn: 'INFRASTRUCTURE',
};

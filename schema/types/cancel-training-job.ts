import { builder } from '../builder.ts';
import { failures, withFailures } from '../errors.ts';
import { TrainingJob } from './job.ts';

builder.mutationField('cancelTrainingJob', (t) =>
  t.field({
    type: TrainingJob,
    errors: {
      types: [failures.invalidInput, failures.notFound, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to end a job.' },
    },
    description:
      'Asks for the end of a job. A queued one is CANCELLED when this returns; a running one once its processes have ' +
      'ended. Asking again changes nothing; a job that ended in another way gives a ConflictError.',
    args: {
      id: t.arg.id({ required: true, description: 'The id of the job that shall end.' }),
      reason: t.arg.string({ description: 'Why, for whoever looks at the job later: at most 1000 characters.' }),
    },
    resolve: (_root, { id, reason }, { jobs }) => withFailures(() => jobs.cancel(id, reason ?? undefined)),
  }),
);

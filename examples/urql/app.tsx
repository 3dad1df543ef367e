import { useEffect, useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { useIsConnected } from '../ui/connection.ts';
import { CancelJobDocument, RecentJobsDocument, SubmitJobDocument } from '../ui/generated/graphql.ts';
import { JobList } from '../ui/job-list.tsx';
import { JobPanel } from '../ui/job-panel.tsx';
import { Page } from '../ui/page.tsx';
import { SubmitForm } from '../ui/submit-form.tsx';
import { useJob } from './use-job.ts';

export function App() {
  const [jobId, setJobId] = useState<string>();
  return (
    <Page library="urql" job={jobId && <FollowedJob key={jobId} id={jobId} />}>
      <NewJob onSubmitted={setJobId} />
      <RecentJobs selectedId={jobId} onSelect={setJobId} />
    </Page>
  );
}

function NewJob({ onSubmitted }: { readonly onSubmitted: (id: string) => void }) {
  const [{ data, fetching, error }, submit] = useMutation(SubmitJobDocument);
  return (
    <SubmitForm
      onSubmit={async (input) => {
        const result = (await submit({ input })).data?.submitTrainingJob;
        if (result?.__typename === 'TrainingJob') onSubmitted(result.id);
      }}
      isBusy={fetching}
      result={data?.submitTrainingJob}
      error={error?.message}
    />
  );
}

interface RecentJobsProps {
  readonly selectedId: string | undefined;
  readonly onSelect: (id: string) => void;
}

function RecentJobs(props: RecentJobsProps) {
  const [{ data, error }, refresh] = useQuery({
    query: RecentJobsDocument,
    context: LISTS_JOBS,
  });
  useEffect(() => {
    const timer = setInterval(() => refresh({ requestPolicy: 'network-only' }), 1_000);
    return () => clearInterval(timer);
  }, [refresh]);
  return <JobList jobs={data?.trainingJobs} error={error?.message} {...props} />;
}

/** So that a new job makes an empty list load again, too: there is no job in it by which urql could tell. */
const LISTS_JOBS = { additionalTypenames: ['TrainingJob'] };

function FollowedJob({ id }: { readonly id: string }) {
  const { job, error } = useJob(id);
  const isConnected = useIsConnected();
  const [{ data, fetching, error: cancelError }, cancel] = useMutation(CancelJobDocument);
  const result = data?.cancelTrainingJob;
  const isRequested = result?.__typename === 'TrainingJob';
  return (
    <JobPanel
      id={id}
      job={job}
      isConnected={isConnected}
      error={error}
      onCancel={() => cancel({ id })}
      isCancelling={fetching || isRequested}
      cancelError={cancelError?.message ?? (result === undefined || isRequested ? undefined : result.message)}
    />
  );
}

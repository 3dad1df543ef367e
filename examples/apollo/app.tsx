import { useMutation, useQuery } from '@apollo/client/react';
import { useState } from 'react';
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
    <Page library="Apollo Client" job={jobId && <FollowedJob key={jobId} id={jobId} />}>
      <NewJob onSubmitted={setJobId} />
      <RecentJobs selectedId={jobId} onSelect={setJobId} />
    </Page>
  );
}

function NewJob({ onSubmitted }: { readonly onSubmitted: (id: string) => void }) {
  const [submit, { data, loading, error }] = useMutation(SubmitJobDocument, {
    refetchQueries: [RecentJobsDocument],
    onCompleted: ({ submitTrainingJob: result }) => {
      if (result.__typename === 'TrainingJob') onSubmitted(result.id);
    },
  });
  return (
    <SubmitForm
      // What it rejects with is in `error` too.
      onSubmit={(input) => submit({ variables: { input } }).catch(() => undefined)}
      isBusy={loading}
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
  const { data, error } = useQuery(RecentJobsDocument, { pollInterval: 1_000 });
  return <JobList jobs={data?.trainingJobs} error={error?.message} {...props} />;
}

function FollowedJob({ id }: { readonly id: string }) {
  const { job, error } = useJob(id);
  const isConnected = useIsConnected();
  const [cancel, { data, loading, error: cancelError }] = useMutation(CancelJobDocument, { variables: { id } });
  const result = data?.cancelTrainingJob;
  const isRequested = result?.__typename === 'TrainingJob';
  return (
    <JobPanel
      id={id}
      job={job}
      isConnected={isConnected}
      error={error}
      onCancel={() => cancel().catch(() => undefined)}
      isCancelling={loading || isRequested}
      cancelError={cancelError?.message ?? (result === undefined || isRequested ? undefined : result.message)}
    />
  );
}

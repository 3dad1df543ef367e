import { CombinedGraphQLErrors, type ErrorLike } from '@apollo/client';
import { useSubscription } from '@apollo/client/react';
import { useEffect, useReducer, useState } from 'react';
import { reconnectDelayMs } from '../ui/connection.ts';
import { JobEventsDocument } from '../ui/generated/graphql.ts';
import { addEvents, type Job, NO_EVENTS } from '../ui/job-events.ts';

/**
 * Follows a job from its first event to its end. After a loss of the connection it goes on behind the last event that
 * came, so that each comes once. `error` says why the platform refuses.
 */
export function useJob(id: string): { job: Job; error: string | undefined } {
  const [job, add] = useReducer(addEvents, NO_EVENTS);
  const [error, setError] = useState<ErrorLike>();
  const { restart } = useSubscription(JobEventsDocument, {
    variables: { id, after: job.lastSequence },
    shouldResubscribe: false, // `after` grows with every payload and counts when the subscription is restarted
    ignoreResults: true,
    fetchPolicy: 'no-cache',
    onData: ({ data }) => add(data.data?.jobEvents ?? []),
    onError: setError,
  });
  const isRefused = CombinedGraphQLErrors.is(error);
  useEffect(() => {
    if (error === undefined || isRefused) return;
    const timer = setTimeout(() => {
      setError(undefined);
      restart();
    }, reconnectDelayMs());
    return () => clearTimeout(timer);
  }, [error, isRefused, restart]);
  return { job, error: isRefused ? error.message : undefined };
}

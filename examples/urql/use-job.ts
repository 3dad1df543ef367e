import { useEffect, useEffectEvent, useReducer, useState } from 'react';
import { type CombinedError, useClient } from 'urql';
import { reconnectDelayMs } from '../ui/connection.ts';
import { JobEventsDocument } from '../ui/generated/graphql.ts';
import { addEvents, type Job, NO_EVENTS } from '../ui/job-events.ts';

/**
 * Follows a job from its first event to its end. After a loss of the connection it goes on behind the last event that
 * came, so that each comes once. `error` says why the platform refuses.
 */
export function useJob(id: string): { job: Job; error: string | undefined } {
  const client = useClient();
  const [job, add] = useReducer(addEvents, NO_EVENTS);
  const [error, setError] = useState<CombinedError>();
  const [attempt, setAttempt] = useState(0);
  // Not `useSubscription`: what its handler has gathered is dropped when a result is an error.
  const subscribe = useEffectEvent(() =>
    client.subscription(JobEventsDocument, { id, after: job.lastSequence }).subscribe((result) => {
      setError(result.error);
      add(result.data?.jobEvents ?? []);
    }),
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: each attempt subscribes anew
  useEffect(() => subscribe().unsubscribe, [attempt]);

  const isLost = error?.networkError !== undefined;
  useEffect(() => {
    if (error === undefined || !isLost) return;
    const timer = setTimeout(() => {
      setError(undefined);
      setAttempt((count) => count + 1);
    }, reconnectDelayMs());
    return () => clearTimeout(timer);
  }, [error, isLost]);
  return { job, error: isLost ? undefined : error?.message };
}

import type { RecentJobsQuery } from './generated/graphql.ts';
import { Status } from './status.tsx';

interface JobListProps {
  /** Undefined while they are loaded for the first time. */
  readonly jobs: RecentJobsQuery['trainingJobs'] | undefined;
  readonly error: string | undefined;
  readonly selectedId: string | undefined;
  readonly onSelect: (id: string) => void;
}

/** The newest jobs with their status. A click on one follows it. */
export function JobList({ jobs, error, selectedId, onSelect }: JobListProps) {
  return (
    <section className="panel" aria-labelledby="jobs-heading">
      <h2 id="jobs-heading">Recent jobs</h2>
      {error !== undefined && (
        <p role="alert" className="error">
          The jobs could not be loaded: {error}
        </p>
      )}
      {jobs === undefined && error === undefined && <p className="quiet">Loading…</p>}
      {jobs?.edges.length === 0 && <p className="quiet">None yet.</p>}
      <ul className="jobs">
        {jobs?.edges.map(({ node: { id, scriptName, status, createdAt } }) => (
          <li key={id}>
            <button type="button" aria-pressed={id === selectedId} onClick={() => onSelect(id)}>
              <span className="name">{scriptName}</span>
              <time dateTime={createdAt}>{new Date(createdAt).toLocaleTimeString()}</time>
              <Status value={status} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

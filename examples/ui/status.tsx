import type { JobStatus } from './generated/graphql.ts';

/** A job's status in words and colour. */
export function Status({ value }: { readonly value: JobStatus }) {
  return <span className={`status ${value.toLowerCase()}`}>{value.toLowerCase().replace('_', ' ')}</span>;
}

/** Which job's script is talking, and in which of its attempts. */
export interface JobIdentity {
  readonly jobId: string;
  readonly attemptId: bigint;
  /** An artifact of this attempt was discarded, so all others are too: half a model is of no use. Absent: none was. */
  readonly hasNoArtifacts?: boolean;
}

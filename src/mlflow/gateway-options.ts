import type { Logger } from '../platform/logger.ts';
import type { OnTransfer } from '../platform/transfer.ts';
import type { CallNotes } from './calls-once.ts';
import type { JobIdentity } from './job-identity.ts';
import type { Observation } from './observation.ts';
import type { UpstreamOptions } from './upstream.ts';

/** What the gateway tells about the jobs whose scripts talk through it. Both methods are called concurrently. */
export interface GatewayObserver {
  /**
   * The job that a token (it starts with `asgard-job-`) belongs to, or null when it is none or no longer good.
   * Called once a request, so it should remember. When it rejects, the client is answered 503 and tries again.
   */
  authenticate(token: string): Promise<JobIdentity | null>;
  /**
   * Called after MLflow did what the script asked, and before the script is told: what resolves is never lost, and is
   * in the order of the script's own calls. When it rejects, the client is answered 503 and tries again, and clients
   * repeat calls of which a killed platform did not tell them: the same thing may be told many times, and must count once.
   */
  record(identity: JobIdentity, observation: Observation): Promise<void>;
}

export interface GatewayOptions extends UpstreamOptions {
  /** True: every path, with the UI and its files. False: the API's paths alone, beside the routes of others. */
  readonly everything: boolean;
  readonly observer: GatewayObserver;
  /** Of jobs' calls that must reach MLflow once. */
  readonly notes: CallNotes;
  /** Whether artifacts of jobs cannot be kept now (see `discardedCall`); asked for every request of a job. Absent: they can. */
  readonly hasNoArtifactStore?: () => Promise<boolean>;
  readonly log: Logger;
  /** Runs after each artifact that went to the store through here, or came from it. */
  readonly onTransfer?: OnTransfer;
}

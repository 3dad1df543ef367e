import type { MessagePort } from 'node:worker_threads';
import type { Claim } from '../jobs/queue.ts';
import type { TerminalStatus } from '../jobs/states.ts';

/** What a supervising thread is built from: given once, as its worker data. */
export interface SupervisorSettings {
  readonly databaseUrl: string;
  readonly mlflowUrl: string;
  /** Asgard's own address, which scripts get as their MLflow tracking server. */
  readonly gatewayUrl: string;
  readonly jobsFolder: string;
  readonly environmentsFolder: string;
  readonly toolchain: string;
  readonly logLevel: string;
  readonly logPretty: boolean;
}

/** One job for a supervising thread. */
export interface SuperviseTask {
  readonly claim: Claim;
  /** Carries `CancelRequest`s to the thread. */
  readonly control: MessagePort;
}

/** Ends a job. `reason` becomes the job's error. */
export interface CancelRequest {
  readonly reason: string;
}

/** The end of a job, as a supervising thread wrote it. */
export interface WrittenEnd {
  readonly status: TerminalStatus;
  /** From the job's claim to its end; absent when that is not known. */
  readonly seconds?: number;
}

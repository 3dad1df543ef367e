import type { MessagePort } from 'node:worker_threads';
import type { S3Settings } from '../config-s3.ts';
import type { RunHandle, RunSpec } from '../executors/executor.ts';
import type { Isolation } from '../executors/isolation.ts';
import type { FeatureStoreSettings } from '../feast/settings.ts';
import type { Claim } from '../jobs/queue.ts';
import type { TerminalStatus } from '../jobs/states.ts';

/** What a supervising thread is built from: given once, as its worker data. */
export interface SupervisorSettings {
  readonly databaseUrl: string;
  readonly mlflowUrl: string;
  /** Asgard's own address, which scripts get as their MLflow tracking server. */
  readonly gatewayUrl: string;
  readonly jobsFolder: string;
  /** How far scripts are set apart from the platform. */
  readonly isolation: Isolation['level'];
  /** What scripts do not see then: the data folder. */
  readonly hiddenFolder: string;
  /** What they see of it all the same, and only read: where users put files for them. */
  readonly dataFolder: string;
  /** And the files of tables, if they lie on this machine. */
  readonly warehouseFolder?: string | undefined;
  readonly launchersFolder: string;
  /** Warm Python processes that may be held: all threads together, and each as it is told. */
  readonly launchers: number;
  readonly environmentsFolder: string;
  readonly environmentsLimitBytes: number;
  readonly toolchain: string;
  /** Processes and threads that a script may have at once, where it is set apart. */
  readonly processLimit: number;
  /** How much of what a script prints is kept. */
  readonly outputLimitBytes: number;
  /** Where files of models are kept, and how much of them. */
  readonly modelFiles: { readonly folder: string; readonly limitBytes: number };
  /** What a registered model gets to be loaded and to predict. */
  readonly modelCheckSeconds: number;
  /** Secrets included. Scripts are told what a reader may know. Absent: they have no feature store. */
  readonly features?: FeatureStoreSettings;
  /** Whether scripts are to send some rows of their training sets. */
  readonly keepsTrainingRows: boolean;
  /** Where scripts are stored too. Credentials are found by the thread itself. */
  readonly s3: S3Settings | undefined;
  readonly logLevel: string;
  readonly logPretty: boolean;
}

/** One job for a supervising thread. */
export interface SuperviseTask {
  readonly claim: Claim;
  /** Carries `ControlMessage`s to the thread. */
  readonly control: MessagePort;
}

/** What a supervising thread starts from a warm process that it has; whoever asks watches it. */
export interface WarmStartTask {
  readonly handle: RunHandle;
  readonly spec: RunSpec;
}

/** What a supervising thread is to start launchers of, before a job needs them. */
export interface WarmUpTask {
  /** Of the environment that most jobs use. */
  readonly environmentFolder: string;
}

/**
 * What a supervisor may be told. `cancel` ends the job; `reason` becomes its error. `release` lets its script go on and
 * ends the supervision alone: whoever takes the attempt over goes on where it was.
 */
export type ControlMessage = { readonly type: 'cancel'; readonly reason: string } | { readonly type: 'release' };

/** The end of a job, as a supervising thread wrote it. */
export interface WrittenEnd {
  readonly status: TerminalStatus;
  /** From the job's claim to its end; absent when that is not known. */
  readonly seconds?: number;
}

import type { Frame } from '../python/frames.ts';

/** A script and all that its process is given. */
export interface RunSpec {
  readonly scriptName: string;
  readonly script: string;
  /** Files that it finds beside itself, by their names. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** The folder of its Python environment. */
  readonly environmentFolder: string;
  /** Variables beside those that every script gets. */
  readonly variables: Readonly<Record<string, string>>;
  /** The content of the `feature_store.yaml` of a script that uses the feature store, with a secret of this run's. */
  readonly featureStoreYaml?: string | undefined;
  /** The runner ends the script by itself when they are over; null: it may run for ever. */
  readonly timeoutSeconds: number | null;
  /** Between asking the script to end and killing it. */
  readonly graceSeconds: number;
  /** How much of what the script prints the runner keeps: of more, the middle goes. */
  readonly outputLimitBytes: number;
  /** Files and folders that it has to see, wherever they are, beside those that every script sees. */
  readonly readable?: readonly string[];
  /** Numerical libraries get one thread rather than one for each core. */
  readonly isSingleThreaded?: boolean;
  /** It serves the platform: it gets as much of a busy CPU, and ends with this process, however that ends. */
  readonly isPartOfPlatform?: boolean;
}

/** Names one execution, before and after any crash. */
export interface RunHandle {
  readonly jobId: string;
  readonly attempt: number;
  /** Where its files are, as `Executor.place` was when it was claimed. */
  readonly place: string;
}

/** Where scripts run. Nothing outside this folder knows which one does it. */
export interface Executor {
  /** The machine that runs are on. What is on another one is out of reach. */
  readonly machine: string;
  /** Where the files of new runs go. */
  readonly place: string;
  /** Of the place, also when the machine gets another name or the place another path. */
  readonly placeId: string;
  /** The executions of which files are left in `place`. */
  handles(): Promise<RunHandle[]>;
  /** Makes room for an execution: from then on `stateOf` tells one that was never started from one that is gone. */
  reserve(handle: RunHandle): Promise<void>;
  /** How far an execution has come. `gone`: nothing is left of it, or it was never reserved. */
  stateOf(handle: RunHandle): Promise<'reserved' | 'started' | 'gone'>;
  /**
   * Makes ready, before any script needs it, what lets those of an environment start at once.
   * @param script one of those that will be run in it; absent: any
   */
  warmUp(environmentFolder: string, script?: string): Promise<void>;
  /** Starts the script of a reserved execution. */
  submit(handle: RunHandle, spec: RunSpec): Promise<void>;
  /**
   * Starts it from what `warmUp` made ready, if there is that, for another executor which has the execution in its place and
   * follows it there.
   * @returns whether it was started
   */
  submitWarm(handle: RunHandle, spec: RunSpec): Promise<boolean>;
  /**
   * The frames of an execution with numbers above `after`, in lists, each as soon as it was written; ends after the exit
   * frame. Any number of readers, in any process on the machine, see the same, but for lines that were removed as there were
   * too many before one of them read them: a frame with `totalBytes` stands for those.
   * @throws RunnerLostError when the runner is gone without an exit frame
   */
  frames(handle: RunHandle, after: number, signal: AbortSignal): AsyncIterable<Frame[]>;
  /**
   * Asks for the end of the script and all that it started. The exit frame tells when it is done. Safe to repeat.
   * @param reason kept with the execution, before anything is asked: for a caller that may be unable to tell it elsewhere
   */
  cancel(handle: RunHandle, reason?: string): Promise<void>;
  /** The reason that a `cancel` gave; null when none did. */
  cancelReason(handle: RunHandle): Promise<string | null>;
  /** Removes what the execution left, once its frames are stored. Ends it first when it still runs. */
  forget(handle: RunHandle): Promise<void>;
}

/** The runner ended without an exit frame: somebody killed it, or the machine failed. */
export class RunnerLostError extends Error {
  constructor(handle: RunHandle) {
    super(`the runner of job ${handle.jobId}, attempt ${handle.attempt}, is gone and left no exit record`);
    this.name = 'RunnerLostError';
  }
}

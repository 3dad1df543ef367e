import type { ServingEngine } from '../database/generated/enums.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import type { PredictedValue, WorkerRequest } from './protocol.ts';

/** What runs a model: onnxruntime in this process, or a Python process apart. */
export type EngineName = 'onnx' | 'python';

/** Of what the record of a version says. */
export const ENGINE_NAMES = { PYTHON: 'python', ONNX: 'onnx' } as const satisfies Record<ServingEngine, EngineName>;

/** A column that a model takes, by name; `type` is MLflow's name of it, null when only the name is known. */
export interface ModelColumn {
  readonly name: string;
  readonly type: string | null;
}

/** `predictions: value[n]`, one a row in the order of the rows; `probabilities: number[n][classes]` when they were asked for. */
export interface ModelAnswer {
  readonly predictions: readonly PredictedValue[];
  readonly probabilities: readonly (readonly (number | null)[])[] | null;
}

/**
 * Told what is to answer a request, and since when, by `performance.now()`, that has been at it; null: it waits for its turn. More
 * than once, as a compiled model may leave a request to Python, and a process may end with it.
 */
export type OnTurn = (engine: EngineName, begunAt: number | null) => void;

/** What a model is asked with. */
export interface Asking {
  /** Aborts when nobody waits for the answer any more. Absent: it is waited for however long that takes. */
  readonly signal?: AbortSignal | undefined;
  readonly onTurn?: OnTurn | undefined;
}

/** A model version in memory, ready to answer. Disposing ends it; requests that have no answer yet are told UNAVAILABLE. */
export interface ServedModel extends AsyncDisposable {
  readonly engine: EngineName;
  /** What it takes of the machine's memory, as last measured. */
  readonly memoryBytes: number;
  /** Processes of its own; 0 of one that runs in this process alone. */
  readonly processes: number;
  /** In the model's order; null when it knows no names and takes columns in the order given. */
  readonly columns: readonly ModelColumn[] | null;
  /** Requests without an answer yet: while there are any, it is not ended to make room. */
  readonly waiting: number;
  /** Whether it cannot answer any more. */
  readonly isEnded: boolean;
  /** Whether it has ended, and not for how it behaved: the same request may be asked of another one. */
  readonly isLost: boolean;
  /** Resolves when it cannot answer any more, for whatever reason. */
  readonly ended: Promise<void>;
  /** @throws AsgardError INVALID_INPUT naming the column or row; UNAVAILABLE when it may be asked again; the signal's reason */
  predict(request: WorkerRequest, asking?: Asking): Promise<ModelAnswer>;
}

/** What a load is given beside the version. */
export interface LoadContext {
  /** Calls the load off; what is loaded goes on. */
  readonly signal: AbortSignal;
  /** Whether so many bytes more have room beside all models that are loaded. */
  readonly hasRoomFor: (bytes: number) => boolean;
}

/**
 * Brings a version into memory.
 * @throws AsgardError UNAVAILABLE with the reason when it cannot be; the signal's reason
 */
export type LoadModel = (version: ModelVersion, context: LoadContext) => Promise<ServedModel>;

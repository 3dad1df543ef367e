import type { ModelVersion } from '../mlflow/wire.ts';
import type { ModelColumn } from './engine.ts';
import type { ServedModels } from './served-models.ts';
import type { ModelChecks } from './version-lookup.ts';
import { type SignaturePart, type VersionSignature, VersionSignatures } from './version-signature.ts';

/** What a version takes and gives, as far as that is known. */
export interface VersionDescription {
  /** The registered model's. */
  readonly name: string;
  readonly version: string;
  /** In the model's order; null when it knows no names, and takes columns in the order given. */
  readonly columns: readonly ModelColumn[] | null;
  readonly signature: VersionSignature;
}

/** Tells what versions take and give: by the signature that was found when they were tried, or, without one, by the loaded model. */
export class VersionDescriptions {
  readonly #served: Pick<ServedModels, 'get'>;
  readonly #signatures: VersionSignatures;

  /** @param checks absent: no version has a signature */
  constructor(served: Pick<ServedModels, 'get'>, checks: ModelChecks | undefined) {
    this.#served = served;
    this.#signatures = new VersionSignatures(checks ?? (async () => []));
  }

  /**
   * @param version one that is served
   * @throws AsgardError UNAVAILABLE when it has no signature, and cannot be loaded
   */
  async of(version: ModelVersion): Promise<VersionDescription> {
    const signature = await this.#signatures.of(version);
    const { inputs } = signature;
    const columns = inputs === null ? (await this.#served.get(version)).columns : namedColumns(inputs);
    return { name: version.name, version: version.version, columns, signature };
  }
}

/** Null when there is one without a name. */
function namedColumns(inputs: readonly SignaturePart[]): ModelColumn[] | null {
  const named = inputs.flatMap(({ name, type }) => (name === null ? [] : [{ name, type }]));
  return named.length === inputs.length ? named : null;
}

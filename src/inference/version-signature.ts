import { z } from 'zod';
import type { ServableKey } from '../models/servable-versions.ts';
import type { ModelChecks } from './version-lookup.ts';

const MAX_KEPT = 10_000;

/** A column or tensor of a signature. */
export interface SignaturePart {
  /** Null of the only one there is. */
  readonly name: string | null;
  /** MLflow's name of a column's type, or numpy's of a tensor's; null where it takes any, or is no single value. */
  readonly type: string | null;
  /** Of one row: `[]` for a single value; -1 is any length. */
  readonly rowShape: readonly number[];
}

/** What a version takes and gives; null where that is not written down. */
export interface VersionSignature {
  readonly inputs: readonly SignaturePart[] | null;
  readonly outputs: readonly SignaturePart[] | null;
}

const NOTHING: VersionSignature = { inputs: null, outputs: null };
const SINGLE = new Set(['boolean', 'integer', 'long', 'float', 'double', 'string', 'binary', 'datetime']);

const part = z
  .union([
    z.object({
      type: z.literal('tensor'),
      name: z.string().optional(),
      'tensor-spec': z.object({ dtype: z.string(), shape: z.array(z.int()) }),
    }),
    z.object({ type: z.string(), name: z.string().optional() }),
  ])
  .transform((written): SignaturePart => {
    const name = written.name ?? null;
    if (!('tensor-spec' in written))
      return { name, type: SINGLE.has(written.type) ? written.type : null, rowShape: [] };
    const { dtype, shape } = written['tensor-spec'];
    return { name, type: dtype, rowShape: shape.slice(1) };
  });

const parts = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: 'custom', message: 'is not JSON' });
      return z.NEVER;
    }
  })
  .pipe(z.array(part).min(1))
  .nullish()
  // A model's own code may have written it.
  .catch(null);

const written = z.object({ inputs: parts, outputs: parts });

/** A signature as MLflow writes it, `{inputs: "[{…}]", outputs: "[{…}]"}`; what cannot be read of it is not known. */
function parseSignature(value: unknown): VersionSignature {
  const { data } = written.safeParse(value);
  return data === undefined ? NOTHING : { inputs: data.inputs ?? null, outputs: data.outputs ?? null };
}

/** Tells the signatures that versions were found to have when they were tried. That never changes: each is looked up once. */
export class VersionSignatures {
  readonly #checks: ModelChecks;
  readonly #kept = new Map<string, VersionSignature>();

  constructor(checks: ModelChecks) {
    this.#checks = checks;
  }

  async of({ name, version, createdAt }: ServableKey): Promise<VersionSignature> {
    const key = `${name}/${version}/${createdAt.getTime()}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const [record] = await this.#checks([{ name, version, createdAt }]);
    if (record == null) return NOTHING;
    const signature = parseSignature(record.signature);
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, signature);
    return signature;
  }
}

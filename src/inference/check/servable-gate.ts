import type { PrismaClient, ServableVersion } from '../../database/generated/client.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';
import { servableVersion } from '../../models/servable-versions.ts';
import { modelVersionKey } from '../../models/version-key.ts';
import { AsgardError } from '../../platform/errors.ts';
import { LoadSlots } from '../load-slots.ts';
import type { VersionChecks } from './version-checks.ts';

const MAX_KNOWN = 10_000;

export interface ServableGateOptions {
  readonly database: PrismaClient;
  readonly checks: Pick<VersionChecks, 'check'>;
}

/**
 * Lets requests for predictions pass to versions that work. A version that nobody has tried, as it was registered without a job, is
 * tried at its first use, once however many ask, two versions at a time.
 */
export class ServableGate implements AsyncDisposable {
  readonly #options: ServableGateOptions;
  readonly #slots = new LoadSlots();
  readonly #stop = new AbortController();
  readonly #passed = new Set<string>();
  readonly #trying = new Map<string, Promise<ServableVersion>>();

  constructor(options: ServableGateOptions) {
    this.#options = options;
  }

  /**
   * @throws AsgardError CONFLICT with the reason when the version cannot be served; UNAVAILABLE when it could not be tried
   */
  async pass(version: ModelVersion): Promise<void> {
    const key = `${modelVersionKey(version.name, version.version)}/${version.createdAt.getTime()}`;
    if (this.#passed.has(key)) return;
    const known = await servableVersion(this.#options.database, version);
    const record = known === null || known.status === 'CHECKING' ? await this.#once(key, version) : known;
    if (record.status !== 'SERVABLE') throw refusalOf(record);
    if (this.#passed.size >= MAX_KNOWN) this.#passed.clear();
    this.#passed.add(key);
  }

  /** Calls off what is being tried. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new AsgardError('UNAVAILABLE', 'the platform is shutting down'));
    await Promise.allSettled(this.#trying.values());
  }

  #once(key: string, version: ModelVersion): Promise<ServableVersion> {
    const trying = this.#trying.get(key) ?? this.#try(version).finally(() => this.#trying.delete(key));
    this.#trying.set(key, trying);
    return trying;
  }

  #try(version: ModelVersion): Promise<ServableVersion> {
    const inTurn = <T>(work: () => Promise<T>) => this.#slots.run(work);
    return this.#options.checks.check(version, { jobId: null, signal: this.#stop.signal, inTurn });
  }
}

function refusalOf({ name, version, refusal }: ServableVersion): AsgardError {
  return new AsgardError(
    'CONFLICT',
    `model ${name} version ${version} is registered, but cannot be served: ${refusal}`,
  );
}

import type { Resolution } from './resolver.ts';

/** What a build came to. */
export interface BuildFacts {
  readonly seconds: number;
  /** What its files take on the disk. */
  readonly bytes: number;
}

/** Is told what becomes of environments. None of it may fail what it tells of. */
export interface EnvironmentObserver {
  building(hash: string, resolution: Resolution): Promise<void>;
  /** It is there, and somebody is about to use it. Facts are null of one that an earlier version built. */
  used(hash: string, resolution: Resolution, facts: BuildFacts | null): Promise<void>;
  /** Its build ended without it. */
  failed(hash: string, reason: string): Promise<void>;
  /** It was removed to make room. */
  evicted(hash: string): Promise<void>;
  /** Hashes of builds that were told of and whose end was not. */
  unfinished(): Promise<string[]>;
}

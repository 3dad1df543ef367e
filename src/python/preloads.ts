/** So often scripts have to import a module before a launcher that lacks it is replaced. */
const OFTEN = 3;
/** Modules that are known of one environment; of more those that were not imported for the longest time are forgotten. */
const MAX_KNOWN = 200;
/** What one launcher imports beside what all do. */
const MAX_LEARNED = 64;

/** What the scripts of one environment import, and so what its launchers shall have ready. */
export class Preloads {
  /** How often each was imported, that of the last import last; never a launcher's business: -Infinity. */
  readonly #counts = new Map<string, number>();

  /** Notes what a script imports. */
  saw(imports: readonly string[]): void {
    for (const name of imports) this.#set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** A launcher came to its end by one of these. */
  exclude(modules: readonly string[]): void {
    for (const name of modules) this.#set(name, Number.NEGATIVE_INFINITY);
  }

  /** What a launcher that starts now imports, what is imported most often first. */
  get modules(): string[] {
    const known = [...this.#counts].filter(([, count]) => count > 0).toSorted(([, a], [, b]) => b - a);
    return known.slice(0, MAX_LEARNED).map(([name]) => name);
  }

  /**
   * Whether scripts often import what a launcher lacks.
   * @param tried what it was to import
   * @param loaded the top-level modules that it has
   */
  isBehind(tried: readonly string[], loaded: ReadonlySet<string>): boolean {
    const isMissing = (name: string) => !tried.includes(name) && !loaded.has(name.split('.', 1)[0] ?? name);
    return this.modules.some((name) => (this.#counts.get(name) ?? 0) >= OFTEN && isMissing(name));
  }

  #set(name: string, count: number): void {
    this.#counts.delete(name);
    this.#counts.set(name, count);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > MAX_KNOWN && oldest !== undefined) this.#counts.delete(oldest);
  }
}

/** Which part of a list that is sorted by name. */
export interface NamedPageQuery {
  readonly first: number;
  /** Only what follows this name; null: from the start. */
  readonly after: string | null;
  /** Only what has this in its name, in any case; null: all. */
  readonly search: string | null;
}

export interface NamedPage<T> {
  readonly items: T[];
  /** How many there are in all, or how many the search finds. */
  readonly total: number;
}

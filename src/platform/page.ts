/** One page of a longer list. */
export interface Page<T> {
  readonly items: T[];
  /** Give it back to get the page after this one; null when this is the last. Opaque. */
  readonly nextPageToken: string | null;
}

/** What names a model version. */
export interface ModelVersionKey {
  readonly name: string;
  /** A positive whole number, as text. */
  readonly version: string;
}

/** The key as one text, for maps and loaders: versions hold no `/`, names may. */
export function modelVersionKey(name: string, version: string): string {
  return `${version}/${name}`;
}

/** What `modelVersionKey` made the text of. */
export function parseModelVersionKey(key: string): ModelVersionKey {
  const separator = key.indexOf('/');
  return { version: key.slice(0, separator), name: key.slice(separator + 1) };
}

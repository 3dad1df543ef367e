/**
 * The largest filter that goes into one request. Some of MLflow's searches are GET, and its server (uvicorn's h11)
 * refuses a request line beyond 64 KiB; a filter of escapes triples when it is percent-encoded.
 */
const MAX_FILTER_CHARACTERS = 8_000;

/**
 * `<attribute> IN ('…', …)` for MLflow's search grammar, safe for values of any characters.
 *
 * MLflow reads a quoted value of `=` by cutting its first and last character (nothing can be escaped), but a list with
 * Python's `ast.literal_eval`; so everything but plain characters is given as an escape of Python's, which leaves its
 * SQL tokenizer nothing to trip over. A single plain value needs no list: MLflow 2 has lists for `run_id` alone.
 * @param attribute trusted, e.g. `attributes.run_id`
 * @param values at least one: MLflow refuses an empty list
 */
export function filterString(attribute: string, values: readonly string[]): string {
  const [only] = values;
  if (values.length === 1 && only !== undefined && PLAIN.test(only)) return `${attribute} = '${only}'`;
  return `${attribute} IN (${values.map(pythonLiteral).join(', ')})`;
}

/**
 * As many filters as it takes to name all `values` (each filter up to `maxValues`, and short enough for a query string).
 */
export function filterStrings(attribute: string, values: readonly string[], maxValues: number): string[] {
  const filters: string[] = [];
  let group: string[] = [];
  let characters = 0;
  for (const value of values) {
    const length = pythonLiteral(value).length + 2;
    if (group.length > 0 && (group.length === maxValues || characters + length > MAX_FILTER_CHARACTERS)) {
      filters.push(filterString(attribute, group));
      group = [];
      characters = 0;
    }
    group.push(value);
    characters += length;
  }
  if (group.length > 0) filters.push(filterString(attribute, group));
  return filters;
}

/**
 * `<attribute> ILIKE '%…%'`: holds for every value that contains `text`, in any case. Characters that mean something
 * to the grammar or to LIKE stand for any one character, so it may hold for a few values more.
 */
export function containsFilter(attribute: string, text: string): string {
  return `${attribute} ILIKE '%${text.replace(/['"\\%]/g, '_')}%'`;
}

/**
 * Filters of tags of registered models or versions that have these values; none when there are none. MLflow has no list of
 * tags' values, and nothing can be escaped in a value alone: quotes, backslashes and "%" stand for any one character, so
 * that such a filter may hold for a few values more.
 */
export function tagFilters(tags: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(tags).map(([key, value]) => {
    const loose = value.replace(/['"\\%`]/g, '_');
    return `tags.\`${key}\` ${loose === value ? '=' : 'LIKE'} '${loose}'`;
  });
}

/** Filters that must all hold; undefined when there is none. */
export function allOf(filters: readonly (string | undefined)[]): string | undefined {
  const given = filters.filter((filter) => filter !== undefined);
  return given.length === 0 ? undefined : given.join(' AND ');
}

const PLAIN = /^[A-Za-z0-9 _.-]+$/;

function pythonLiteral(value: string): string {
  const escaped = Array.from(value, (character) =>
    PLAIN.test(character) ? character : `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`,
  );
  return `'${escaped.join('')}'`;
}

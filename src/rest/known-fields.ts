import { z } from 'zod';
import { nearestNames } from '../models/nearest-names.ts';

/** Names are compared letter by letter, which a hostile body must not make long. */
const LONGEST_LOOKED_AT = 64;
const MOST_LOOKED_AT = 20;

/** An object of the wire without what is null, for which absent is one more word. */
function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

/**
 * The fields of a body, of which null counts as absent. A field that there is not is ignored, as FastAPI does it, unless the
 * caller means one that there is and did not give: an answer to something else than was asked would be worse than none.
 * @param meant names that callers use for a field, by what they mean: `{ alias: 'model_version' }`
 */
export function knownFields<Schema extends z.ZodObject>(fields: Schema, meant: Readonly<Record<string, string>> = {}) {
  const names = Object.keys(fields.shape);
  return z.preprocess((body, context) => {
    const given = withoutNulls(body);
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return given;
    const absent = names.filter((name) => !Object.hasOwn(given, name));
    const unknown = Object.keys(given).filter((name) => !names.includes(name) && name.length <= LONGEST_LOOKED_AT);
    for (const name of unknown.slice(0, MOST_LOOKED_AT)) {
      const alike = Object.hasOwn(meant, name) ? meant[name] : nearestNames(name, absent, 1)[0];
      if (alike === undefined) continue;
      const message = `there is no such field; did you mean "${alike}"?`;
      context.addIssue({ code: 'custom', path: [name], message });
    }
    return given;
  }, fields);
}

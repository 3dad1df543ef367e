/** Of a newer JavaScript than TypeScript's library knows: numbers keep the digits that they were written with. */
const { rawJSON, parse } = JSON as unknown as {
  rawJSON(text: string): unknown;
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
};

/** The object that a text holds, whose numbers are written again as they were. @throws SyntaxError when it is none */
function parseExactly(text: string): Record<string, unknown> {
  const parsed = parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? rawJSON(source) : value,
  );
  if (!isObject(parsed)) throw new SyntaxError('not an object');
  return parsed;
}

/** A request's body with one more tag in its list `tags`; all else stays as it was. @throws when it has no such form */
export function withTag(body: string, key: string, value: string): string {
  const parsed = parseExactly(body);
  const tags = parsed['tags'] ?? [];
  if (!Array.isArray(tags)) throw new SyntaxError('tags is no list');
  return JSON.stringify({ ...parsed, tags: [...tags, { key, value }] });
}

/** A request's body with one more entry in its object `assessment.metadata`. @throws when it has no such form */
export function withMetadata(body: string, key: string, value: string): string {
  const parsed = parseExactly(body);
  const assessment = parsed['assessment'];
  if (!isObject(assessment)) throw new SyntaxError('there is no assessment');
  const metadata = assessment['metadata'] ?? {};
  if (!isObject(metadata)) throw new SyntaxError('metadata is no object');
  return JSON.stringify({ ...parsed, assessment: { ...assessment, metadata: { ...metadata, [key]: value } } });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { FILE_HEADERS_ONLY, formatPatch, type StructuredPatch, structuredPatch } from 'diff';

/** Of two long texts that have little in common a difference is of no use, and takes long to find. */
const LIMIT_MS = 1_500;
/** Of so many lines together it is found soon, and a machine that does something else for a second costs nobody the answer. */
const SHORT_LINES = 1_000;
const MAX_EDITS = 10_000;
const MAX_CHARACTERS = 256 * 1024;
const CONTEXT_LINES = 3;

export interface NamedText {
  readonly name: string;
  readonly text: string;
}

export interface ScriptDifference {
  /** As `diff -u` writes it; empty when both are the same, null when they have too little in common. */
  readonly unified: string | null;
  readonly addedLines: number;
  readonly removedLines: number;
  /** Whether the end of `unified` was left out, as it has more than 256 Ki characters. */
  readonly isCut: boolean;
}

/** How two scripts differ, by lines. Other work goes on meanwhile. */
export async function scriptDifference(before: NamedText, after: NamedText): Promise<ScriptDifference> {
  const none = { addedLines: 0, removedLines: 0, isCut: false };
  if (before.text === after.text) return { unified: '', ...none };
  const patch = await patchOf(before, after);
  if (patch === undefined) return { unified: null, ...none };
  const lines = patch.hunks.flatMap((hunk) => hunk.lines);
  const whole = formatPatch(patch, FILE_HEADERS_ONLY);
  const isCut = whole.length > MAX_CHARACTERS;
  return {
    unified: isCut ? whole.slice(0, whole.lastIndexOf('\n', MAX_CHARACTERS) + 1) : whole,
    addedLines: lines.filter((line) => line.startsWith('+')).length,
    removedLines: lines.filter((line) => line.startsWith('-')).length,
    isCut,
  };
}

function patchOf(before: NamedText, after: NamedText): Promise<StructuredPatch | undefined> {
  const { promise, resolve } = Promise.withResolvers<StructuredPatch | undefined>();
  const lines = [before, after].reduce((sum, { text }) => sum + text.split('\n').length, 0);
  const limit = lines > SHORT_LINES && { timeout: LIMIT_MS };
  const options = { context: CONTEXT_LINES, maxEditLength: MAX_EDITS, callback: resolve, ...limit };
  structuredPatch(before.name, after.name, before.text, after.text, undefined, undefined, options);
  return promise;
}

import { storableText } from '../platform/text.ts';

const MAX_REQUIREMENT = 500;

const VERSION = '(===?|~=|!=|<=?|>=?) ?[A-Za-z0-9.*+!_-]+';
const VERSIONS = `${VERSION}( ?, ?${VERSION})*`;
/** For a text in which white space was made single blanks: with runs of it the time to refuse one would grow steeply. */
const PACKAGE = new RegExp(
  `^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])? ?(\\[[A-Za-z0-9._, -]*\\])? ?(${VERSIONS}|\\( ?${VERSIONS} ?\\))? ?(;[^@#/\\\\\r\n]*)?$`,
);

/** What uv takes for a file although it could be a name. */
const ARCHIVE = /^[^\s;=<>!~([]*\.(whl|zip|tar|t[a-z]z|tbz2?|tar\.\w+)(?![\w.-])/i;

/**
 * A package as PEP 508 names it, without a URL: `scikit-learn`, `pandas[parquet]>=2,<3 ; python_version >= "3.11"`.
 * Options, paths and URLs are refused, each with the reason: they would let a job read the platform's files or another index.
 */
export const requirement = storableText(MAX_REQUIREMENT)
  .superRefine((value, context) => {
    const message = refusalOf(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  })
  .meta({ pattern: PACKAGE.source });

/** Why a text is no requirement that is accepted; undefined when it is one. */
function refusalOf(value: string): string | undefined {
  if (value.length > MAX_REQUIREMENT) return undefined; // that is what is wrong with it, and is said
  const text = value.trim().replaceAll(/[ \t]+/g, ' ');
  if (PACKAGE.test(text) && !ARCHIVE.test(text)) return undefined;
  if (text === '') return 'is empty: name a package, e.g. "pandas>=2,<3"';
  if (/[\r\n]/.test(text)) return 'has a line break: each entry names one package';
  if (/(^| )-/.test(text)) {
    return 'has an option of pip, which is not accepted, since it could read files of the platform or another package index: name packages alone, e.g. "pandas>=2,<3"';
  }
  if (/:\/\/|@/.test(text)) {
    return 'has a URL, which is not accepted, since packages come from the platform\'s package index alone: name the package, e.g. "pandas>=2,<3"';
  }
  if (/^[.~]|[/\\]/.test(text) || ARCHIVE.test(text)) {
    return 'is a path, which is not accepted, since a job may not read files of the platform: name the package, e.g. "pandas>=2,<3"';
  }
  if (text.includes('#')) return 'has a comment, which is not accepted';
  if (/^[\w.-]+ ?=[^=]/.test(text)) return 'has a single "=": write "==" for an exact version, e.g. "pandas==2.2.3"';
  return 'does not name a package as PEP 508 does, e.g. "pandas>=2,<3"';
}

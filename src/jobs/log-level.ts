/** How grave a log line is, the least first. */
export const LOG_LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where a level stands, if at all: behind a time, a name and the like. */
const HEAD_CHARACTERS = 120;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins what colours a terminal
const COLOURS = /\x1b\[[0-9;]*m/g;
/** In capitals and by itself, as logging, loguru, MLflow, Spark and most others write it. */
const NAMED = /(?<![\w.-])(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)(?![\w-])/;
/** As absl, glog and TensorFlow write it: a letter, then the month and the day. */
const LETTER = /^([IWEF])\d{4} \d\d:\d\d:\d\d/;
/** What Python prints of a warning, `train.py:3: UserWarning: …`, and of an exception that ended it. */
const PYTHON_WARNING = /^\S.*:\d+: (?:\w+\.)*\w*Warning: /;
const PYTHON_EXCEPTION = /^(?:Traceback \(most recent call last\):$|(?:\w+\.)*\w*(?:Error|Exception|Interrupt)(?::|$))/;

const LETTERS: Readonly<Record<string, LogLevel>> = { I: 'INFO', W: 'WARNING', E: 'ERROR', F: 'CRITICAL' };
const SYNONYMS: Readonly<Record<string, LogLevel>> = { WARN: 'WARNING', FATAL: 'CRITICAL' };

/** The level that a line of a log says it has; undefined when it says none. Each line is judged by itself. */
export function levelOf(text: string): LogLevel | undefined {
  const head = text.slice(0, HEAD_CHARACTERS).replace(COLOURS, '');
  const letter = LETTER.exec(head)?.[1];
  if (letter !== undefined) return LETTERS[letter];
  if (PYTHON_EXCEPTION.test(head)) return 'ERROR';
  if (PYTHON_WARNING.test(head)) return 'WARNING';
  const name = NAMED.exec(head)?.[1];
  return SYNONYMS[name ?? ''] ?? LOG_LEVELS.find((level) => level === name);
}

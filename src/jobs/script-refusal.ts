import { AsgardError } from '../platform/errors.ts';
import type { ScriptError } from '../python/checker-process.ts';

/** The refusal of a script, in Python's words: `SyntaxError: invalid syntax (train.py, line 3): import numpy pandas`. */
export function scriptRefusal(scriptName: string, { kind, message: reason, line, text }: ScriptError): AsgardError {
  const place = line === null ? scriptName : `${scriptName}, line ${line}`;
  const message = `${kind}: ${reason} (${place})${text === null ? '' : `: ${text}`}`.toWellFormed();
  return new AsgardError('INVALID_INPUT', `the job was not taken: script: ${message}`, {
    issues: [{ path: ['script'], message, type: 'syntax_error' }],
  });
}

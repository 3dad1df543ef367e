const MAX_MODULES = 50;
const MAX_NAME = 100;
const MODULE = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
/** Of a name imported from a module: what is written so may be a module itself, and else is a class. */
const SUBMODULE = /^[a-z_][a-z0-9_]*$/;
/** They do something when they are imported. */
const NEVER = new Set(['__future__', '__main__', 'antigravity', 'this']);

/**
 * The modules that a script imports at its top level, by its text alone: a guess, good enough to have them ready. A text
 * that only looks like an import gives a name that cannot be imported.
 * @param scriptName its file, which a script may import under its own name
 */
export function importsOf(script: string, scriptName: string): string[] {
  const own = scriptName.replace(/\.py$/, '');
  const names = script.split('\n').flatMap(importsOfLine);
  const isGood = (name: string) => {
    const [root = ''] = name.split('.', 1);
    return name.length <= MAX_NAME && MODULE.test(name) && root !== own && !NEVER.has(root);
  };
  return [...new Set(names.filter(isGood))].slice(0, MAX_MODULES);
}

/**
 * Whether a script uses the feature store: imports `feast`, at its top level or in a function. A text that only looks so
 * costs its environment some packages.
 */
export function usesFeast(script: string): boolean {
  return script.split(/[\n;]/).some((line) => {
    return importsOfLine(line.trimStart()).some((name) => name === 'feast' || name.startsWith('feast.'));
  });
}

function importsOfLine(line: string): string[] {
  const plain = /^import\s+([^#;\\]+)/.exec(line)?.[1];
  if (plain !== undefined) return plain.split(',').map(withoutAlias);
  const [, module, names = ''] = /^from\s+([\w.]+)\s+import\s+\(?([^#;()\\]*)/.exec(line) ?? [];
  if (module === undefined) return [];
  const submodules = names
    .split(',')
    .map(withoutAlias)
    .filter((name) => SUBMODULE.test(name));
  return [module, ...submodules.map((name) => `${module}.${name}`)];
}

function withoutAlias(name: string): string {
  return name.trim().split(/\s/, 1)[0] ?? '';
}

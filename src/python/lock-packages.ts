/** The packages of a lock, as `uv pip compile` writes it: `name==version`, or `name @ address`, one a line. */
export function packagesOf(lock: string): { name: string; version: string }[] {
  return lock.split('\n').flatMap((line) => {
    const [, name, version] = /^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(?:==|@)\s*([^\s;]+)/.exec(line) ?? [];
    return name === undefined || version === undefined ? [] : [{ name, version }];
  });
}

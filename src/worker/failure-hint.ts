const MODULE = /^ModuleNotFoundError: No module named '([^'\s]{1,200})'/;
const FILE = /^(FileNotFoundError|PermissionError): \[Errno \d+\] [^:]+: '.+'$/;

/**
 * What to do about what nearly everybody meets with the first scripts; null for any other failure.
 * @param uncaught the exception that ended the script, as Python prints it
 * @param dataFolder what every script may read, on the machine that it runs on
 */
export function failureHint(uncaught: string, dataFolder: string): string | null {
  const [, module] = MODULE.exec(uncaught) ?? [];
  if (module !== undefined) {
    const [name] = module.split('.');
    return `Hint: name the package that has ${name} in the job's requirements; a module of your own must be in the script itself`;
  }
  const [, error] = FILE.exec(uncaught) ?? [];
  if (error === undefined) return null;
  const why =
    error === 'PermissionError'
      ? 'a script may write in its working folder and /tmp, and read what everybody may read'
      : 'a script begins in an empty folder of its own, on the machine that runs Asgard';
  return `Hint: ${why}; files for scripts belong in ${dataFolder}`;
}

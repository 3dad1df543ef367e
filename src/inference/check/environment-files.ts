/**
 * The files of an MLflow model that say in which environment it runs: those of one that was made from a lock.
 * @param lock `name==version` lines, as uv writes them
 * @param python the version of the interpreter, `3.11.9`
 * @returns their texts by name
 */
export function environmentFiles(lock: string, python: string): Record<string, string> {
  const requirements = lock
    .split('\n')
    .map((line) => line.replace(/\s*\\$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('--'));
  return {
    'requirements.txt': lines(requirements),
    'python_env.yaml': lines([
      `python: ${python}`,
      'build_dependencies:',
      '- pip',
      'dependencies:',
      '- -r requirements.txt',
    ]),
    'conda.yaml': lines([
      'channels:',
      '- conda-forge',
      'dependencies:',
      `- python=${python}`,
      '- pip',
      '- pip:',
      // In JSON, which is YAML: a requirement may hold what means something there.
      ...requirements.map((requirement) => `  - ${JSON.stringify(requirement)}`),
      'name: mlflow-env',
    ]),
  };
}

function lines(texts: readonly string[]): string {
  return `${texts.join('\n')}\n`;
}

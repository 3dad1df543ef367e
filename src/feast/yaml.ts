/** What a YAML file of settings holds. */
export type Yaml = { readonly [name: string]: string | number | boolean | Yaml };

/**
 * A YAML file that says the same to everybody who reads it. Feast looks for `$NAME` in the file's text and puts variables of
 * the environment there: a dollar sign is written so that it finds none.
 */
export function yamlText(yaml: Yaml, indent = ''): string {
  return Object.entries(yaml)
    .map(([name, value]) => {
      const key = `${indent}${scalar(name)}:`;
      if (typeof value !== 'object') return `${key} ${scalar(value)}\n`;
      return Object.keys(value).length === 0 ? `${key} {}\n` : `${key}\n${yamlText(value, `${indent}  `)}`;
    })
    .join('');
}

/** JSON's are YAML's too. */
function scalar(value: string | number | boolean): string {
  return typeof value === 'string' && /^[a-z]\w*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/.test(value)
    ? value
    : JSON.stringify(value).replaceAll('$', '\\u0024');
}

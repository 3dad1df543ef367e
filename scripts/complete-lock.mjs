/**
 * `node scripts/complete-lock.mjs`: adds the optional packages of other platforms that a registry did not offer to
 * package-lock.json. npm leaves such packages out when it writes the file, and `npm ci` then refuses it: run this after
 * every `npm install` on a machine whose registry mirror is not complete. Their os and cpu are read from their names.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const OS = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const CPU = {
  'arm-eabi': 'arm',
  'arm-gnueabihf': 'arm',
  'arm-musleabihf': 'arm',
  arm64: 'arm64',
  x64: 'x64',
  ia32: 'ia32',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
};
let added = 0;
for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (Object.keys(lock.packages).some((key) => key.endsWith(path))) continue;
    const os = OS.find((word) => name.includes(`-${word}`));
    const cpu = Object.entries(CPU).find(([word]) => name.includes(`-${word}`))?.[1];
    if (!os || !cpu || !/^\d/.test(version)) throw new Error(`cannot complete ${name}@${version} of ${parent}`);
    const libc =
      os !== 'linux' ? undefined : name.includes('musl') ? ['musl'] : /gnu/.test(name) ? ['glibc'] : undefined;
    lock.packages[path] = {
      version,
      cpu: [cpu],
      ...(entry.dev ? { dev: true } : {}),
      ...(libc ? { libc } : {}),
      optional: true,
      os: [os],
    };
    added += 1;
  }
}
const [root, ...rest] = Object.entries(lock.packages);
lock.packages = Object.fromEntries([root, ...rest.sort(([a], [b]) => (a < b ? -1 : 1))]);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added} entries added\n`);

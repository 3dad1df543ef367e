/** Imports go one way; each layer may use those before it. */
const layers = [
  ['src/platform'],
  ['src/config.ts', 'src/config-features.ts', 'src/config-s3.ts', 'src/config-serving.ts', 'src/database'],
  ['src/auth'],
  ['src/mlflow', 'src/feast', 'src/storage', 'src/python', 'src/executors', 'src/embedded'],
  ['src/experiments'],
  ['src/models'],
  ['src/features'],
  ['src/jobs'],
  ['src/inference'],
  ['src/status'],
  ['src/metrics'],
  ['src/worker', 'schema', 'src/rest', 'src/client'],
  ['src/http', 'src/cli'],
  ['src/shutdown.ts'],
  [
    'src/servers.ts',
    'src/feature-store.ts',
    'src/online-features.ts',
    'src/registry-parts.ts',
    'src/serving.ts',
    'src/ports.ts',
  ],
  ['src/app.ts'],
  ['src/main.ts'],
];

const pattern = (paths) => `^(${paths.map((path) => path.replaceAll('.', '\\.')).join('|')})(/|$)`;
const isUnder = (paths) => pattern(paths);

module.exports = {
  forbidden: [
    ...layers.slice(0, -1).map((layer, index) => ({
      name: `only-later-layers-import-${layer[0]}-successors`,
      severity: 'error',
      from: { path: isUnder(layer) },
      to: { path: isUnder(layers.slice(index + 1).flat()) },
    })),
    ...['src/worker', 'schema', 'src/rest', 'src/client'].map((path, _, all) => ({
      name: `${path}-stands-alone`,
      severity: 'error',
      from: { path: isUnder([path]) },
      to: { path: isUnder(all.filter((other) => other !== path)) },
    })),
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'acceptance-uses-the-client-only',
      severity: 'error',
      from: { path: '^test/acceptance' },
      to: { path: '^(schema|src/(?!client|cli|platform))' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '(generated|node_modules)' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.mjs', '.cjs'] },
  },
};

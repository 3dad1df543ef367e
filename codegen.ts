import type { CodegenConfig } from '@graphql-codegen/cli';

/** Makes the types of the client's operations (`graphql-codegen`; with `--check` it fails when they are out of date). */
const config: CodegenConfig = {
  schema: 'schema/schema.graphql',
  documents: 'src/client/operations.graphql',
  importExtension: '.ts',
  generates: {
    'src/client/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        immutableTypes: true,
        scalars: { ID: 'string', DateTime: 'string', JSON: 'unknown' },
      },
    },
  },
};

export default config;

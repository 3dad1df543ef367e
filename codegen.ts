import type { CodegenConfig } from '@graphql-codegen/cli';

const typedDocuments = {
  preset: 'client',
  presetConfig: { fragmentMasking: false },
  config: {
    useTypeImports: true,
    enumsAsTypes: true,
    strictScalars: true,
    immutableTypes: true,
    scalars: { ID: 'string', DateTime: 'string', JSON: 'unknown' },
  },
} as const;

/**
 * Makes the types of the operations of our client and of the example frontends (`graphql-codegen`; with `--check` it fails
 * when they are out of date).
 */
const config: CodegenConfig = {
  schema: 'schema/schema.graphql',
  importExtension: '.ts',
  generates: {
    'src/client/generated/': { ...typedDocuments, documents: 'src/client/*.graphql' },
    'examples/ui/generated/': { ...typedDocuments, documents: 'examples/ui/operations.graphql' },
    // Apollo's cache keeps what a union or an interface gave only when it knows their types.
    'examples/apollo/generated/possible-types.ts': { plugins: ['fragment-matcher'] },
  },
};

export default config;

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  isUnionType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { graphqlSchema } from '../../schema/index.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { JobStatus } from '../../src/database/generated/enums.ts';
import { ERROR_CODES } from '../../src/platform/errors.ts';

const schema = graphqlSchema();
const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
);

describe('the GraphQL schema', () => {
  it('is what schema/schema.graphql says', async () => {
    const written = await readFile(join(PROJECT_ROOT, 'schema/schema.graphql'), 'utf8');
    // After a change on purpose: node scripts/print-schema.ts
    expect(`${printSchema(lexicographicSortSchema(schema))}\n`).toBe(written);
  });

  it('describes every type, field, argument and enum value', () => {
    expect(types.flatMap(namesWithoutDescription)).toEqual([]);
  });

  it('has a member for every failure, and only failures, beside the success of a result union', () => {
    const unions = types.filter(isUnionType);
    expect(unions.map(({ name }) => name).sort()).toEqual([
      'CancelTrainingJobResult',
      'PredictResult',
      'SubmitTrainingJobResult',
    ]);
    for (const union of unions) {
      const successes = union.getTypes().filter((type) => !type.getInterfaces().some(({ name }) => name === 'Error'));
      expect(successes).toHaveLength(1);
    }
  });

  it('knows every code of the table of errors and every status of a job', () => {
    expect(valuesOf('ErrorCode')).toEqual(Object.keys(ERROR_CODES).sort());
    expect(valuesOf('JobStatus')).toEqual(Object.values(JobStatus).sort());
  });

  it('gives every list that can grow as a connection of the Relay shape', () => {
    const connections = types.filter((type) => isObjectType(type) && type.name.endsWith('Connection'));
    expect(connections.length).toBeGreaterThan(4);
    for (const connection of connections) {
      if (!isObjectType(connection)) continue;
      expect(Object.keys(connection.getFields())).toEqual(expect.arrayContaining(['edges', 'pageInfo']));
    }
  });
});

function valuesOf(name: string): string[] {
  const type = schema.getType(name);
  if (!isEnumType(type)) throw new Error(`${name} is no enum`);
  return type
    .getValues()
    .map((value) => value.name)
    .sort();
}

function namesWithoutDescription(type: GraphQLNamedType): string[] {
  const missing = type.description ? [] : [type.name];
  if (isEnumType(type)) {
    missing.push(
      ...type
        .getValues()
        .filter((value) => !value.description)
        .map((value) => `${type.name}.${value.name}`),
    );
  }
  if (isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      if (!field.description) missing.push(`${type.name}.${field.name}`);
      for (const argument of 'args' in field ? field.args : []) {
        if (!argument.description) missing.push(`${type.name}.${field.name}(${argument.name})`);
      }
    }
  }
  return missing;
}

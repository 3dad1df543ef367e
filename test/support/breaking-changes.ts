import { buildASTSchema, type DocumentNode, findBreakingChanges, type GraphQLSchema, visit } from 'graphql';

/**
 * What of a released schema is missing or stricter in another one, so that an operation written for it may fail: one line
 * for each. What the release itself marks as deprecated may go.
 */
export function breakingChanges(released: DocumentNode, current: GraphQLSchema): string[] {
  const withoutDeprecated = <Node extends { readonly directives?: readonly { readonly name: { value: string } }[] }>({
    directives,
  }: Node) => (directives?.some(({ name }) => name.value === 'deprecated') === true ? null : undefined);
  const promised = visit(released, {
    FieldDefinition: withoutDeprecated,
    InputValueDefinition: withoutDeprecated,
    EnumValueDefinition: withoutDeprecated,
  });
  // A type whose fields were all deprecated has none left, which a schema may not have.
  const before = buildASTSchema(promised, { assumeValid: true });
  return findBreakingChanges(before, current).map(({ description }) => description);
}

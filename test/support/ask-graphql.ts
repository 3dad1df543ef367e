import { inject } from 'vitest';

/** The data of a GraphQL operation on the shared platform, of which the test knows what it is. @throws when it has errors */
// biome-ignore lint/suspicious/noExplicitAny: a test that looks at less than it asked for would need a type for each look
export async function askGraphql(query: string, variables: object = {}): Promise<any> {
  const answer = await fetch(`${inject('platform').url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  if (errors !== undefined) throw new Error(`the operation failed: ${JSON.stringify(errors)}`);
  return data;
}

import type { FastifyPluginAsync } from 'fastify';
import { ANY, OF_BODY, OF_MLFLOW, OF_PATH } from '../failures.ts';
import { listVersions } from '../list-models.ts';
import { presentModel, presentOne, presentVersions } from '../present-models.ts';
import type { RestServices } from '../services.ts';
import { httpError, httpValidationError } from '../wire-answers.ts';
import {
  deletedAlias,
  deletedModel,
  deletedVersion,
  modelAlias,
  modelVersion,
  modelVersionPage,
  movedAlias,
  registeredModel,
} from '../wire-model-answers.ts';
import {
  aliasPath,
  aliasRequest,
  changeRequest,
  modelPath,
  newAliasPath,
  versionListQuery,
  versionPath,
} from '../wire-registry.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['models'];
const OF_ONE = { ...ANY, ...OF_PATH, ...OF_MLFLOW, 404: httpError } as const;
const ALIAS = '/mlops/models/:name/aliases/:alias';

/** What is below `/mlops/models/{name}`: its versions, its aliases, and changes of it. */
export function registryRoutes(
  known: Pick<RestServices, 'models' | 'registry' | 'modelChecks' | 'servedModels'>,
): FastifyPluginAsync {
  const { models, registry } = known;
  return async (server) => {
    const app = useZod(server);
    app.patch(
      '/mlops/models/:name',
      {
        schema: {
          tags: TAGS,
          operationId: 'updateModel',
          summary: 'Change the description and tags of a registered model',
          params: modelPath,
          body: changeRequest,
          response: { ...OF_ONE, ...OF_BODY, 200: registeredModel },
        },
      },
      async ({ params, body }) => presentModel(await registry.updateModel(params.name, body), known),
    );
    app.delete(
      '/mlops/models/:name',
      {
        schema: {
          tags: TAGS,
          operationId: 'deleteModel',
          summary: 'Delete a registered model with all its versions',
          description: 'Their files stay with the runs that logged them. Refused while the model has an alias.',
          params: modelPath,
          response: { ...OF_ONE, 200: deletedModel, 409: httpError },
        },
      },
      async ({ params }) => ({ name: (await registry.deleteModel(params.name)).name }),
    );
    app.get(
      '/mlops/models/:name/versions',
      {
        schema: {
          tags: TAGS,
          operationId: 'listModelVersions',
          summary: 'List the versions of a registered model',
          description: 'The newest first. Reading on by `cursor` neither repeats nor skips one while others are added.',
          params: modelPath,
          querystring: versionListQuery,
          response: { ...OF_ONE, 200: modelVersionPage, 422: httpValidationError },
        },
      },
      async ({ params, query }) => {
        const { versions, nextCursor } = await listVersions(models, params.name, query);
        return { versions: await presentVersions(versions, known), next_cursor: nextCursor };
      },
    );
    app.patch(
      '/mlops/models/:name/versions/:version',
      {
        schema: {
          tags: TAGS,
          operationId: 'updateModelVersion',
          summary: 'Change the description and tags of a version',
          params: versionPath,
          body: changeRequest,
          response: { ...OF_ONE, ...OF_BODY, 200: modelVersion },
        },
      },
      async ({ params, body }) => {
        const version = await registry.updateVersion(params.name, params.version, body);
        return presentOne(version, known);
      },
    );
    app.delete(
      '/mlops/models/:name/versions/:version',
      {
        schema: {
          tags: TAGS,
          operationId: 'deleteModelVersion',
          summary: 'Delete a version',
          description: 'Its files stay with the run that logged them. Refused while an alias names it.',
          params: versionPath,
          response: { ...OF_ONE, 200: deletedVersion, 409: httpError },
        },
      },
      async ({ params }) => {
        const { name, version } = await registry.deleteVersion(params.name, params.version);
        return { name, version };
      },
    );
    app.get(
      ALIAS,
      {
        schema: {
          tags: TAGS,
          operationId: 'getModelAlias',
          summary: 'Get the version that an alias names',
          params: aliasPath,
          response: { ...OF_ONE, 200: modelAlias },
        },
      },
      async ({ params: { name, alias } }) => {
        const { version } = await models.getVersionByAlias(name, alias);
        return { model_name: name, alias, version };
      },
    );
    app.put(
      ALIAS,
      {
        schema: {
          tags: TAGS,
          operationId: 'setModelAlias',
          summary: 'Have an alias name a version',
          description:
            'Whatever it named before; of several requests at once the last wins. A version that nobody has tried is tried first; one that cannot be served is a conflict, with the reason.',
          params: newAliasPath,
          body: aliasRequest,
          response: { ...OF_ONE, ...OF_BODY, 200: movedAlias, 409: httpError },
        },
      },
      async ({ params: { name, alias }, body }) => {
        const { version, previousVersion } = await registry.setAlias(name, { alias, ...body });
        return { model_name: name, alias, version: version.version, previous_version: previousVersion };
      },
    );
    app.delete(
      ALIAS,
      {
        schema: {
          tags: TAGS,
          operationId: 'deleteModelAlias',
          summary: 'Delete an alias',
          description: 'The version that it names stays.',
          params: aliasPath,
          response: { ...OF_ONE, 200: deletedAlias },
        },
      },
      async ({ params: { name, alias } }) => {
        const { version } = await registry.deleteAlias(name, alias);
        return { model_name: name, alias, version };
      },
    );
    refuseOtherMethods(app, '/mlops/models/:name/versions', ['GET']);
    refuseOtherMethods(app, '/mlops/models/:name/versions/:version', ['GET', 'PATCH', 'DELETE']);
    refuseOtherMethods(app, ALIAS, ['GET', 'PUT', 'DELETE']);
  };
}

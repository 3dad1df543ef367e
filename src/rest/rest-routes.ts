import type { FastifyPluginAsync } from 'fastify';
import { docsPage } from './docs-page.ts';
import { installErrorReplies } from './errors.ts';
import { DEFAULT_BODY_BYTES, readJsonBodies } from './json-body.ts';
import { describeRoutes } from './openapi.ts';
import { deploymentRoutes } from './routes/deployments.ts';
import { feastRoutes } from './routes/feast.ts';
import { feastOnlineRoutes } from './routes/feast-online.ts';
import { feastServiceRoutes } from './routes/feast-services.ts';
import { healthRoutes } from './routes/health.ts';
import { icebergRoutes } from './routes/iceberg.ts';
import { invocationRoutes } from './routes/invocations.ts';
import { jobEventRoutes } from './routes/job-events.ts';
import { lineageRoutes } from './routes/lineage.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { modelRoutes } from './routes/models.ts';
import { openInferenceRoutes } from './routes/open-inference.ts';
import { registryRoutes } from './routes/registry.ts';
import { statusRoutes } from './routes/status.ts';
import { trainingRoutes } from './routes/training.ts';
import type { RestServices } from './services.ts';
import { useZod } from './zod-routes.ts';

/**
 * The REST API as a Fastify plugin, to be registered without a prefix on the root instance: `app.register(restRoutes(services))`.
 * Its error replies and body parsing stay within it, but its 404 answers for every path of the server that nobody has.
 * @param maxBodyBytes of a body in JSON
 */
export function restRoutes(services: RestServices, maxBodyBytes = DEFAULT_BODY_BYTES): FastifyPluginAsync {
  return async (app) => {
    readJsonBodies(app, maxBodyBytes);
    installErrorReplies(app, maxBodyBytes);
    // For the documentation's routes too: their empty schemas would have Fastify make validators of its own.
    useZod(app);
    await describeRoutes(app);
    await app.register(trainingRoutes(services));
    await app.register(jobEventRoutes(services));
    await app.register(modelRoutes(services));
    await app.register(openInferenceRoutes(services, maxBodyBytes));
    await app.register(invocationRoutes(services, maxBodyBytes));
    await app.register(registryRoutes(services));
    await app.register(lineageRoutes(services));
    await app.register(deploymentRoutes(services));
    await app.register(statusRoutes(services));
    await app.register(feastRoutes(services));
    await app.register(feastServiceRoutes(services));
    await app.register(icebergRoutes(services));
    await app.register(feastOnlineRoutes(services));
    await app.register(healthRoutes(services));
    await app.register(metricsRoutes(services.metrics));
    await docsPage(app);
  };
}

import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

/** Everything comes from this server; Swagger UI itself needs inline styles and images in `data:` URLs. */
const CONTENT_SECURITY_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** The OpenAPI document at `/openapi.json`, and Swagger UI over it at `/docs`. */
export async function docsPage(app: FastifyInstance): Promise<void> {
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: CONTENT_SECURITY_POLICY,
    theme: { title: 'Asgard' },
    uiConfig: { layout: 'BaseLayout', displayRequestDuration: true, tryItOutEnabled: true },
  });
}

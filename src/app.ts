import Router from '@koa/router';
import Koa from 'koa';
import type { Logger } from 'pino';
import { mountDocs } from './http/docs.ts';
import { endpoint } from './http/endpoint.ts';
import { entrance } from './http/entrance.ts';
import { acceptPatch, crossOrigin, problems, requestLog, securityHeaders } from './http/middleware.ts';
import { openapi } from './http/openapi.ts';
import type { Route } from './http/route.ts';
import { system } from './http/system.ts';
import { authenticate } from './resources/sessions/authenticate.ts';
import type { AnyResource } from './schema/resource.ts';

interface Api {
  resources: AnyResource[];
  routes: Route[];
}

interface Settings {
  logger: Logger;
  /** Web origins whose pages may call the API; '*' is all of them. */
  corsOrigins?: string[];
}

/** The application; nothing of it needs the database before the first request. */
export function createApp({ logger, corsOrigins = [], ...api }: Api & Settings): Koa {
  const router = new Router({ strict: true, sensitive: true });
  for (const route of allRoutes(api))
    router[route.method](
      route.path.replace(/\{(\w+)\}/g, ':$1'),
      entrance(route, authenticate),
      endpoint(route),
    );
  // Made when it is first asked for: it takes longer than all the rest of a start.
  let document: string | undefined;
  router.get('/openapi.json', (ctx) => {
    document ??= JSON.stringify(describeApi(api));
    ctx.type = 'application/json';
    ctx.body = document;
  });
  mountDocs(router);

  const app = new Koa();
  app.on('error', (error: Error, ctx) =>
    logger.error({ err: error, requestId: ctx?.req?.id }, error.message),
  );
  app.use(requestLog(logger));
  app.use(securityHeaders);
  app.use(problems);
  if (corsOrigins.length > 0) app.use(crossOrigin(corsOrigins));
  app.use(acceptPatch);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/** The OpenAPI document of everything that the application answers; it needs no database. */
export const describeApi = (api: Api) =>
  openapi(allRoutes(api), [
    ...api.resources.map(({ collection, description }) => ({ name: collection, description })),
    { name: 'auth', description: 'Logging in, and what belongs to oneself' },
    { name: 'audit', description: 'What was changed, by whom and when' },
    { name: 'batch', description: 'Several writes in one transaction' },
    { name: 'system', description: 'Links, health and the kinds of problem' },
  ]);

const allRoutes = ({ resources, routes }: Api): Route[] => [
  ...routes,
  ...system(resources.map(({ collection }) => collection)),
];

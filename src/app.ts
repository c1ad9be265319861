import Router from '@koa/router';
import Koa, { type Middleware } from 'koa';
import { type Logger, pino } from 'pino';
import { Problem } from './errors.ts';
import { changes } from './edges/changes/index.ts';
import { modelPage } from './edges/model/index.ts';
import { metrics } from './edges/metrics/index.ts';
import type { Metrics } from './edges/metrics/registry.ts';
import { traces } from './edges/traces/index.ts';
import type { Tracing } from './edges/traces/load.ts';
import { compression } from './http/compression.ts';
import { mountAccountPage } from './http/account-page.ts';
import { type DemoLogin, mountDocs } from './http/docs.ts';
import type { Edge } from './http/edge.ts';
import { endpoint } from './http/endpoint.ts';
import { entrance } from './http/entrance.ts';
import { generalLimit } from './http/limits.ts';
import { crossOrigin, onlyFor, options, problems, securityHeaders, whenReady } from './http/middleware.ts';
import { openapi, type Tag } from './http/openapi/document.ts';
import { preconditionsOf } from './http/preconditions.ts';
import { sendFresh } from './http/reply.ts';
import { requestLog } from './http/request-log.ts';
import type { Route } from './http/route.ts';
import { routing } from './http/routing.ts';
import { mountSecurityTxt } from './http/security-txt.ts';
import { system } from './http/system.ts';
import { authenticate, authorities, confirm, confirmAgain } from './resources/sessions/authenticate.ts';
import { digest } from './schema/etag.ts';
import type { AnyResource } from './schema/resource.ts';

interface Api {
  resources: AnyResource[];
  routes: Route[];
}

interface Settings {
  logger: Logger;
  /** Web origins whose pages may call the API; '*' means all. */
  corsOrigins?: string[];
  /** Requests that a client may send per minute. */
  rateLimit: number;
  /** The number of trusted proxies in front. */
  trustProxy?: number;
  /** Throws the problem to answer with until the database is as this version needs it. */
  requireReady?: () => void;
  /** A well-known login of a development setup. */
  demo?: DemoLogin | undefined;
  /** Receives the measurements of requests. */
  metrics?: Metrics | undefined;
  /** Receives traces. */
  tracing?: Tracing | undefined;
  /** Everybody gets Server-Timing, not only admins. */
  isDevelopment?: boolean;
  /** Whether a Host header names this server; without it all hosts are accepted. */
  isOwnHost?: ((host: string) => boolean) | undefined;
  /** The contact for reports of vulnerabilities, in /.well-known/security.txt: a URL. */
  securityContact?: string | undefined;
  /** Pages of a development setup. */
  mountOwn?: ((router: Router) => void) | undefined;
}

/** The application. It needs no database before the first request. */
export function createApp({
  logger,
  corsOrigins = [],
  rateLimit,
  trustProxy = 0,
  requireReady = () => {},
  demo,
  metrics: measured,
  tracing,
  isDevelopment = false,
  isOwnHost = () => true,
  securityContact,
  mountOwn,
  ...api
}: Api & Settings): Koa {
  const router = new Router({ strict: true, sensitive: true });
  const limit = generalLimit(rateLimit);
  const edges = edgesOf(api, { logger, corsOrigins, metrics: measured, tracing, isDevelopment });
  const mount = (route: Route, ...before: Middleware[]) =>
    router[route.method](
      route.path.replace(/\{(\w+)\}/g, ':$1'),
      ...before,
      entrance(route, authenticate, limit),
      endpoint(route, confirmAgain),
    );
  for (const route of [...edges.flatMap(({ routes }) => routes), ...api.routes].toSorted(literalFirst))
    mount(route, whenReady(requireReady));
  let isStopping = false;
  const requireServing = () => {
    if (isStopping) throw new Problem('shutting_down', 'The process is about to stop: retry on another one.');
    requireReady();
  };
  for (const route of systemRoutes(api, requireServing)) mount(route);
  // Created on the first request: it takes longer than the rest of the start.
  let document: Buffer | undefined;
  router.get('/openapi.json', async (ctx) => {
    await limit(ctx);
    document ??= Buffer.from(JSON.stringify(describeApi(api)));
    sendFresh(
      ctx,
      { status: 200, headers: { ETag: `"${digest(document)}"` }, body: document },
      preconditionsOf(ctx),
    );
  });
  mountDocs(router, demo);
  for (const { pages } of edges) pages?.(router);
  mountAccountPage(router);
  if (securityContact) mountSecurityTxt(router, securityContact);
  mountOwn?.(router);

  const app = new Koa({ proxy: trustProxy > 0, maxIpsCount: trustProxy });
  app.on('error', (error: NodeJS.ErrnoException, ctx) => {
    // A client that leaves a stream is not an error; the request's own log line records it.
    if (['ERR_STREAM_PREMATURE_CLOSE', 'EPIPE', 'ECONNRESET'].includes(error.code ?? '')) return;
    logger.error({ err: error, requestId: ctx?.state.origin?.request }, error.message);
  });
  app.on('stopping', () => (isStopping = true));
  for (const { attach } of edges) attach?.(app);
  app.use(requestLog(logger));
  app.use(securityHeaders);
  app.use(compression);
  app.use(problems);
  app.use(onlyFor(isOwnHost));
  if (corsOrigins.length > 0) app.use(crossOrigin(corsOrigins));
  app.use(options);
  app.use(routing(router));
  // Requests without a route count too.
  app.use((ctx) => limit(ctx));
  return app;
}

/** Capabilities beyond requests and answers. Each line can be removed together with its folder. */
const edgesOf = (api: Api, settings: EdgeSettings): Edge[] => [
  traces(settings),
  metrics(settings),
  changes({ ...api, ...settings, authenticate, confirm, authorities }),
  modelPage(api.resources),
];

type EdgeSettings = Required<
  Pick<Settings, 'logger' | 'corsOrigins' | 'metrics' | 'tracing' | 'isDevelopment'>
>;

/** Literal paths first: /books/export and /books/changes before /books/{id}, regardless of their order. */
const literalFirst = (a: Route, b: Route): number => (sortable(a) < sortable(b) ? -1 : 1);
const sortable = ({ path }: Route): string => path.replace(/\{\w+\}/g, '\uffff');

/** The OpenAPI document of the whole application; needs no database. */
export function describeApi(api: Api) {
  const edges = describedEdges(api);
  const byName = (one: Tag, other: Tag): number => (one.name < other.name ? -1 : 1);
  return openapi(
    allRoutes(api, edges),
    // In the order in which readers need them.
    [
      ...api.resources
        .map(({ collection, description }) => ({ name: collection, description }))
        .toSorted(byName),
      { name: 'auth', description: 'Logging in, and your own account' },
      ...edges.flatMap(({ tag }) => tag ?? []),
      { name: 'batch', description: 'Several writes in one transaction' },
      { name: 'audit', description: 'Who changed what, and when' },
      { name: 'system', description: 'Links, health and the kinds of problem' },
    ],
  );
}

/** All routes of the application: those of its edges, its resources and the system. */
export const allRoutes = (api: Api, edges: Edge[] = describedEdges(api)): Route[] => [
  ...edges.flatMap(({ routes }) => routes),
  ...api.routes,
  ...systemRoutes(api),
];

const describedEdges = (api: Api): Edge[] =>
  edgesOf(api, {
    logger: pino({ level: 'silent' }),
    corsOrigins: [],
    metrics: undefined,
    tracing: undefined,
    isDevelopment: false,
  });

const systemRoutes = ({ resources }: Api, requireReady = () => {}): Route[] =>
  system(
    resources.map(({ collection }) => collection),
    requireReady,
  );

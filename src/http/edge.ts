import type Router from '@koa/router';
import type Koa from 'koa';
import type { Tag } from './openapi/document.ts';
import type { Route } from './route.ts';

/**
 * A capability beyond request and answer, made of what the resources and routes say: a folder of `src/edges/`, which
 * one line in app.ts turns on.
 */
export interface Edge {
  routes: Route[];
  /** Of its routes in OpenAPI. */
  tag?: Tag;
  /** Pages for people. */
  pages?: (router: Router) => void;
  /** Hears when the application begins to listen and when it is drained: see httpServer(). */
  attach?: (app: Koa) => void;
}

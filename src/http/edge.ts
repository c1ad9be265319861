import type Router from '@koa/router';
import type Koa from 'koa';
import type { Tag } from './openapi/document.ts';
import type { Route } from './route.ts';

/**
 * A capability beyond request and answer, derived from resources and routes: a folder of `src/edges/` that one line in
 * app.ts turns on.
 */
export interface Edge {
  routes: Route[];
  /** The tags of its routes in OpenAPI. */
  tag?: Tag;
  /** Pages for people. */
  pages?: (router: Router) => void;
  /** Called when the application starts listening and when it drains: see httpServer(). */
  attach?: (app: Koa) => void;
}

import Router from '@koa/router';
import type { Middleware } from 'koa';
import compose from 'koa-compose';

type Layer = Router['stack'][number];

/** The routes whose paths share their first segment. */
interface Part {
  /** By method, in matching order. */
  routes: Map<string, { layer: Layer; run: Middleware }[]>;
  /** The router itself, which answers a wrong method with those that the path has. */
  rest: Router;
}

/** The first segment of a path: `/books/{id}` → `books`. */
const firstPart = (path: string): string => path.split('/', 2)[1] ?? '';

/**
 * Serves the routes of a router. They are grouped by method and first path segment at start, so that a request is
 * compared with a few of them; the router would compare it with all, and compose its layers anew each time. Throws for
 * a route whose first segment is a parameter.
 */
export function routing(router: Router): Middleware {
  const parts = new Map<string, Part>();
  for (const layer of router.stack) {
    const first = firstPart(String(layer.path));
    if (/[:*(]/.test(first))
      throw new Error(`The path ${String(layer.path)} must not start with a parameter.`);
    const { routes, rest } = parts.get(first) ?? { routes: new Map(), rest: new Router(router.opts) };
    parts.set(first, { routes, rest });
    rest.stack.push(layer);
    const run = compose(layer.stack as Middleware[]);
    for (const method of layer.methods) routes.set(method, [...(routes.get(method) ?? []), { layer, run }]);
  }
  const otherwise = new Map(Array.from(parts, ([first, { rest }]) => [first, allowed(rest)]));
  const nothing = allowed(new Router(router.opts));

  const handle: Middleware = (ctx, next) => {
    const first = firstPart(ctx.path);
    for (const { layer, run } of parts.get(first)?.routes.get(ctx.method) ?? []) {
      const found = layer.regexp?.exec(ctx.path);
      if (!found) continue;
      ctx['params'] = layer.params(ctx.path, found.slice(1));
      ctx.state['route'] = layer.path;
      return run(ctx, next);
    }
    return (otherwise.get(first) ?? nothing)(ctx, next);
  };
  // As router.routes() does, so that tools which inspect an application find its routes.
  return Object.assign(handle, { router });
}

/** A method that a path does not have is answered with those that it has. */
function allowed(router: Router): Middleware {
  const [routes, methods] = [router.routes(), router.allowedMethods()] as Middleware[] as [
    Middleware,
    Middleware,
  ];
  return (ctx, next) => routes(ctx, () => methods(ctx, next));
}

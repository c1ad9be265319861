import Router from '@koa/router';
import type { Middleware } from 'koa';

/** The first part of a path: `/books/{id}` → `books`. */
const firstPart = (path: string): string => path.split('/', 2)[1] ?? '';

/**
 * The routes of a router, divided by the first part of their paths: a request is compared with those few alone, instead
 * of with all. Throws for a route whose first part is a parameter.
 */
export function routing(router: Router): Middleware {
  const parts = new Map<string, Router>();
  for (const layer of router.stack) {
    const first = firstPart(String(layer.path));
    if (/[:*(]/.test(first)) throw new Error(`The first part of ${String(layer.path)} must be a name.`);
    const part = parts.get(first) ?? new Router(router.opts);
    part.stack.push(layer);
    parts.set(first, part);
  }
  const served = new Map(Array.from(parts, ([first, part]) => [first, serve(part)]));
  const nothing = serve(new Router(router.opts));
  return (ctx, next) => (served.get(firstPart(ctx.path)) ?? nothing)(ctx, next);
}

/** A method that a path does not have is answered with those that it has. */
function serve(router: Router): Middleware {
  const [routes, methods] = [router.routes(), router.allowedMethods()] as Middleware[] as [
    Middleware,
    Middleware,
  ];
  return (ctx, next) => routes(ctx, () => methods(ctx, next));
}

import type { Route } from '../../http/route.ts';
import { own } from './own.ts';
import { routes as auth } from './routes.ts';
import { Session } from './session.ts';

export const internals = [Session];
export const routes = (): Route[] => [...auth(), ...own()];
export { seeds } from './seeds.ts';

import { ApiKey } from './key.ts';

export const internals = [ApiKey];
export { routes } from './routes.ts';
export { seeds } from './seeds.ts';

import { Reading } from './reading.ts';

export const resources = [Reading];
export { routes } from './routes.ts';
export { seeds } from './seeds.ts';

import { Tag } from './tag.ts';

export const resources = [Tag];
export { routes } from './routes.ts';
export { seeds } from './seeds.ts';

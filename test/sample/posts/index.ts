import { Post } from './post.ts';

export const resources = [Post];
export { routes } from './routes.ts';
export { seeds } from './seeds.ts';

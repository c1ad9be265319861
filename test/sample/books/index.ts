import { Book } from './book.ts';

export const resources = [Book];
export { routes } from './routes.ts';
export { seeds } from './seeds.ts';

import { Session } from './session.ts';

export const internals = [Session];
export { routes } from './routes.ts';

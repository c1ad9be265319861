import type { Route } from '../../http/route.ts';
import type { Hook } from '../../schema/resource.ts';
import { keepAnAdmin } from './admins.ts';
import { me } from './me.ts';
import { countRegistration } from './registrations.ts';
import { users } from './routes.ts';
import { User } from './user.ts';

export const resources = [User];
export const routes = (): Route[] => [...me(), ...users()];
export const hooks: Hook[] = [
  { resource: User, beforeCreate: countRegistration, problems: ['last_admin'], beforeRemove: keepAnAdmin },
];
export { seeds } from './seeds.ts';

import type { Route } from '../../http/route.ts';
import type { Veto } from '../../schema/resource.ts';
import { keepAnAdmin } from './admins.ts';
import { me } from './me.ts';
import { users } from './routes.ts';
import { User } from './user.ts';

export const resources = [User];
export const routes = (): Route[] => [...me(), ...users()];
export const vetoes: Veto[] = [{ resource: User, problems: ['last_admin'], check: keepAnAdmin }];
export { seeds } from './seeds.ts';

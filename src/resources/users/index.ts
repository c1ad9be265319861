import { forgetAnswersTo } from '../../http/idempotency.ts';
import type { Route } from '../../http/route.ts';
import type { DocumentOf, Hook } from '../../schema/resource.ts';
import { keepAnAdmin, refuseKeyOnAdmins, refuseRemovalByToken } from './admins.ts';
import { data } from './data.ts';
import { emails } from './emails.ts';
import { locks } from './locks.ts';
import { mailVerification } from './mails.ts';
import { me } from './me.ts';
import { recovery } from './recovery.ts';
import { countRegistration } from './registrations.ts';
import { removal } from './removal.ts';
import { users } from './routes.ts';
import { User } from './user.ts';

export const resources = [User];
export const routes = (): Route[] => [
  ...recovery(),
  ...me(),
  ...emails(),
  ...data(),
  ...removal(),
  ...users(),
  ...locks(),
];
export const hooks: Hook[] = [
  {
    resource: User,
    beforeCreate: countRegistration,
    // Accounts made by an operator are already verified.
    afterCreate: async (created) => {
      const user = created as DocumentOf<typeof User>;
      if (!user.verifiedAt) mailVerification(user);
    },
    beforeChange: refuseKeyOnAdmins,
    problems: ['last_admin'],
    beforeRemove: async (ids) => {
      await refuseRemovalByToken();
      await keepAnAdmin(ids);
      forgetAnswersTo(ids);
    },
  },
];
export { seeds } from './seeds.ts';

import { Types } from 'mongoose';
import { type Role, runAs, SYSTEM } from '../../auth/caller.ts';
import { DEMO_PASSWORD, hashPassword, isPassword } from '../../auth/passwords.ts';
import { type Config, invalidEnvironment, isProduction } from '../../config.ts';
import { databaseProblem } from '../../mongo/failures.ts';
import { transaction } from '../../mongo/transaction.ts';
import { password as newPassword } from '../../schema/password.ts';
import { create, update } from '../../schema/store.ts';
import { endKeys } from '../keys/end.ts';
import { User } from './user.ts';
import { endOthers } from '../sessions/end.ts';
import { demoAccounts } from './demo.ts';
import { modelOf } from '../../schema/model.ts';

/**
 * Before the first request: ensures that there is an admin, and that production has no account with a well-known
 * password.
 */
export async function prepareAccounts(config: Config, say: (line: string) => void): Promise<void> {
  if (isProduction(config)) await refuseDemoAccounts();
  const { ADMIN_EMAIL, ADMIN_PASSWORD } = config;
  if (ADMIN_EMAIL && ADMIN_PASSWORD) await makeFirstAdmin(ADMIN_EMAIL, ADMIN_PASSWORD, say);
}

export interface DemoAccount {
  email: string;
  role: Role;
}

/** The demo accounts that still have the public password. */
export async function openDemoAccounts(): Promise<DemoAccount[]> {
  const ids = demoAccounts.map(({ id }) => new Types.ObjectId(id));
  const open = [];
  for (const { email, role, passwordHash } of await modelOf(User)
    .find({ _id: { $in: ids } })
    .lean())
    if (await isPassword(DEMO_PASSWORD, passwordHash)) open.push({ email, role });
  return open;
}

async function refuseDemoAccounts(): Promise<void> {
  const emails = (await openDemoAccounts()).map(({ email }) => email);
  if (emails.length > 0)
    throw new Error(
      `MONGODB_URI names a database with demo accounts (${emails.join(', ')}), whose password is public. ` +
        'Change them (npm run user -- password EMAIL) or use another database.',
    );
}

async function makeFirstAdmin(email: string, password: string, say: (line: string) => void): Promise<void> {
  if (await modelOf(User).exists({ role: 'admin' })) return;
  const fault = newPassword().safeParse(password).error?.issues[0];
  if (fault) throw invalidEnvironment([`ADMIN_PASSWORD ${fault.message}`]);
  const passwordHash = await hashPassword(password);
  try {
    await runAs(SYSTEM, () => transaction(() => makeAdmin(email, passwordHash)));
    say(`${email} (ADMIN_EMAIL) is the first admin.`);
  } catch (error) {
    // Another process that started at the same moment was faster.
    if (databaseProblem(error)?.code !== 'duplicate_key') throw error;
  }
}

/** If the address was registered before, that password no longer works: its owner may be somebody else. */
async function makeAdmin(email: string, passwordHash: string): Promise<void> {
  const known = await modelOf(User)
    .findOne({ email: { $eq: email } })
    .lean();
  if (!known) {
    await create(User, { name: 'Admin', email, role: 'admin', passwordHash, verifiedAt: new Date() });
    return;
  }
  // The address too: MongoDB's collation may match another mailbox, which must not get this account's mail.
  const given = { email, role: 'admin', passwordHash, verifiedAt: new Date(), lockedAt: null };
  await update(User, known._id, given);
  await endOthers(known._id);
  await endKeys(known._id);
}

import { Types } from 'mongoose';
import { z } from 'zod';
import { callerId } from '../../auth/caller.ts';
import { DEMO_PASSWORD } from '../../auth/passwords.ts';
import { type Route, route } from '../../http/route.ts';
import { noteEvent } from '../../schema/changes.ts';
import { redirect, removeDependents } from '../../schema/integrity.ts';
import { modelOf } from '../../schema/model.ts';
import { create, remove } from '../../schema/store.ts';
import { asCommand } from './acting.ts';
import { confirmPassword, currentPassword } from './own-password.ts';
import { User } from './user.ts';

/** The author of posts that removed accounts leave behind. Nobody can log in as this user. */
const FORMER = {
  id: new Types.ObjectId('000000000000000000000001'),
  name: 'A former user',
  email: 'former.user@shelfmark.invalid',
};

export const removal = (): Route[] => [
  route({
    method: 'delete',
    path: '/me',
    operationId: 'removeMe',
    tag: 'auth',
    summary: 'Remove your account',
    description:
      'Removes it for good, with its sessions and API keys. `posts` says whether your posts are removed too; otherwise published posts pass to a placeholder, "A former user", and drafts are removed.',
    policy: { role: 'member' },
    secret: true,
    body: {
      schema: z
        .strictObject({
          currentPassword: currentPassword(),
          posts: z.enum(['remove', 'keep']).describe('What happens to your published posts'),
        })
        .meta({ id: 'Removal', description: 'Your password, and what happens to your posts' }),
      example: { currentPassword: DEMO_PASSWORD, posts: 'keep' },
    },
    answer: { status: 204, description: 'Removed' },
    problems: ['last_admin', 'still_referenced', 'too_many_references'],
    prepare: async ({ body }) => {
      await confirmPassword(body.currentPassword);
      return body;
    },
    handler: ({ body: { posts } }) => asCommand(() => removeAccount(callerId(), posts)),
  }),
];

async function removeAccount(id: Types.ObjectId, posts: 'remove' | 'keep'): Promise<void> {
  if (posts === 'keep') {
    await removeDrafts(id);
    await makeFormer();
    await redirect(User, id, FORMER.id, '');
  } else await removeDependents(User, id);
  await remove(User, id);
  noteEvent({ event: 'account_removed', account: id, reason: `posts: ${posts}` });
}

/** Posts that are not public were for their author only. */
async function removeDrafts(id: Types.ObjectId): Promise<void> {
  for (const { from, field, policy } of User.referrers) {
    if (policy !== 'restrict' || from.policy.read.where.length === 0) continue;
    const hidden = { [field]: id, $nor: [...from.policy.read.where] };
    const found: { _id: Types.ObjectId }[] = await modelOf(from).find(hidden, { _id: 1 }).lean();
    for (const { _id } of found) await remove(from, _id);
  }
}

/** Created on first use. */
async function makeFormer(): Promise<void> {
  const { id, name, email } = FORMER;
  if (await modelOf(User).exists({ _id: id })) return;
  await create(User, { name, email, lockedAt: new Date() }, id);
}

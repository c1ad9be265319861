import type { Seed } from '../../seed.ts';
import { demoAccounts, demoPasswordHash } from './demo.ts';
import { User } from './user.ts';

export const seeds: Seed[] = [
  [
    User,
    demoAccounts.map((account) => ({
      ...account,
      passwordHash: demoPasswordHash,
      verifiedAt: '2026-01-31T12:00:00Z',
    })),
  ],
];

import type { Role } from '../../auth/caller.ts';

/** The accounts of a development setup, one per role, all with DEMO_PASSWORD; refused in production. */
export const demoAccounts: { id: string; name: string; email: string; role: Role; bio?: string }[] = [
  {
    id: '65f000000000000000000c01',
    name: 'Ann Reader',
    email: 'ann@example.org',
    role: 'member',
    bio: 'Reads at night.',
  },
  { id: '65f000000000000000000c02', name: 'Mara Editor', email: 'mara@example.org', role: 'editor' },
  {
    id: '65f000000000000000000c03',
    name: 'Theo Silent',
    email: 'theo@example.org',
    role: 'member',
    bio: 'Only reads.',
  },
  { id: '65f000000000000000000c04', name: 'Ada Admin', email: 'admin@example.org', role: 'admin' },
];

/** The hash of DEMO_PASSWORD. */
export const demoPasswordHash =
  '$argon2id$v=19$m=19456,t=2,p=1$XOJYi9QcjTE22XZlrm62Lw$Zuf3b1n7+lQtE0gQLIFMfInGjLqM/fDU3tHbMUJpB5c';

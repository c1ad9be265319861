import { AuditEntry } from '../../http/audit.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';

export const routes = (): Route[] => [
  {
    ...list(AuditEntry, {
      filter: ['actor', 'operation', 'request', 'documents', 'events', 'createdAt'],
      sort: [],
    }),
    // There is no scope for it: no API key gets in.
    policy: { role: 'admin' },
  },
];

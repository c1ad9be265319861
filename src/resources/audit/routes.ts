import { AuditEntry } from '../../http/audit.ts';
import { exportAll } from '../../http/export.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';

const listing = {
  filter: ['actor', 'operation', 'request', 'documents', 'events', 'createdAt'],
  sort: [],
} as const;

// No scope covers it, so API keys are refused.
const policy = { role: 'admin' } as const;

export const routes = (): Route[] => [
  { ...list(AuditEntry, listing), policy },
  { ...exportAll(AuditEntry, listing), policy },
];

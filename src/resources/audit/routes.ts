import { AuditEntry } from '../../http/audit.ts';
import { list } from '../../http/list.ts';

export const audit = [list(AuditEntry, { filter: ['actor', 'operation', 'request', 'documents'], sort: [] })];

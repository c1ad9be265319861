import { AuditEntry } from '../../http/audit.ts';

export const internals = [AuditEntry];
export { routes } from './routes.ts';

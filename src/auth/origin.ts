import { AsyncLocalStorage } from 'node:async_hooks';

/** Where a request comes from. It travels with the request, as the caller does. */
export interface Origin {
  /** The server's own id of the request; it is in the log, the audit trail and X-Request-Id. */
  request: string;
  /** What the client calls the request, if it says so. */
  clientRequest?: string | undefined;
  /** The client's address, as far as TRUST_PROXY believes the proxies. */
  address: string;
  /** What a client can change its address within: an IPv4 address, or the /64 and the /48 of an IPv6 address. */
  networks: string[];
  agent?: string | undefined;
  /** What it has cost the database so far: commands, and the time of their round trips. */
  database: { count: number; milliseconds: number };
}

const origins = new AsyncLocalStorage<Origin>();

/** undefined outside of a request: a script runs, or the server starts. */
export const origin = (): Origin | undefined => origins.getStore();

export const comingFrom = <T>(where: Origin, work: () => T): T => origins.run(where, work);

import { AsyncLocalStorage } from 'node:async_hooks';

/** The origin of a request. It travels with the request, like the caller. */
export interface Origin {
  /** The server's id of the request, in the log, the audit trail and X-Request-Id. */
  request: string;
  /** The client's own id of the request, if it sent one. */
  clientRequest?: string | undefined;
  /** The client's address, as far as TRUST_PROXY trusts the proxies. */
  address: string;
  /**
   * The networks in which a client can change its address: an IPv4 address itself, or the /64 and /48 of an IPv6
   * address.
   */
  networks: string[];
  agent?: string | undefined;
  /** Database usage so far: the number of commands, and their total round-trip time. */
  database: { count: number; milliseconds: number };
}

const origins = new AsyncLocalStorage<Origin>();

/** undefined outside a request: in scripts and at start. */
export const origin = (): Origin | undefined => origins.getStore();

export const comingFrom = <T>(where: Origin, work: () => T): T => origins.run(where, work);

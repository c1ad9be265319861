import { isIP } from 'node:net';
import type { Context } from 'koa';

/**
 * The client's address, taken from `X-Forwarded-For` as far as the proxies are trusted; undefined if it is not an IP
 * address.
 */
export const addressOf = (ctx: Context): string | undefined =>
  plain(ctx.ip) ?? plain(ctx.req.socket.remoteAddress);

/** Without the `::ffff:` prefix, port or zone that sockets and some proxies add. */
function plain(address = ''): string | undefined {
  const v4 = /^(?:::ffff:)?(\d+(?:\.\d+){3})(?::\d+)?$/i.exec(address)?.[1];
  if (v4) return v4;
  const [v6 = ''] = address.split('%');
  return isIP(v6) === 6 ? v6 : undefined;
}

/**
 * The networks that limits count by, narrowest first: an IPv4 address itself; for IPv6 the /64 (one household) and the
 * /48 (which a provider gives to any customer who asks).
 */
export function networksOf(address: string | undefined): [string, ...string[]] {
  if (address === undefined || isIP(address) !== 6) return [address ?? ''];
  // URL parsing turns an address into its one canonical short form.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (part = '') => part.split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill('0'), ...groups(tail)];
  return [`${all.slice(0, 4).join(':')}::/64`, `${all.slice(0, 3).join(':')}::/48`];
}

import { isIP } from 'node:net';
import type { Context } from 'koa';

/** The address of a client, as far as its proxies are believed; undefined for what is no address. */
export const addressOf = (ctx: Context): string | undefined =>
  plain(ctx.ip) ?? plain(ctx.req.socket.remoteAddress);

/** Without what sockets and some proxies add to it: `::ffff:`, a port, a zone. */
function plain(address = ''): string | undefined {
  const v4 = /^(?:::ffff:)?(\d+(?:\.\d+){3})(?::\d+)?$/i.exec(address)?.[1];
  if (v4) return v4;
  const [v6 = ''] = address.split('%');
  return isIP(v6) === 6 ? v6 : undefined;
}

/**
 * The networks that limits count by, the narrowest first: an IPv4 address itself; of an IPv6 address the /64, which a
 * household has, and the /48, which a provider gives to whoever asks.
 */
export function networksOf(address: string | undefined): [string, ...string[]] {
  if (address === undefined || isIP(address) !== 6) return [address ?? ''];
  // A URL has an address in its one short form.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (part = '') => part.split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill('0'), ...groups(tail)];
  return [`${all.slice(0, 4).join(':')}::/64`, `${all.slice(0, 3).join(':')}::/48`];
}

/** Percent-encodes a path or query as RFC 3986 requires where the client has not done so. */
export const toUri = (text: string): string =>
  text.replace(/%(?![\da-f]{2})|[^\w.~!$&'()*+,;=:@/?%-]/gi, encodeURIComponent);

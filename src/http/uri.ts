/** A path or query as a URI has it (RFC 3986): what the client should have escaped is escaped. */
export const toUri = (text: string): string =>
  text.replace(/%(?![\da-f]{2})|[^\w.~!$&'()*+,;=:@/?%-]/gi, encodeURIComponent);

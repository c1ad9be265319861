/** The hosts of a MongoDB URI: what may be shown of it, without user, password and options. */
export const hostsOf = (uri: string): string[] =>
  uri
    .replace(/^.*?:\/\//, '')
    // The last @, for a password that has one, or a slash, as it should not.
    .replace(/^.*@/, '')
    .replace(/[/?].*$/, '')
    .split(',');

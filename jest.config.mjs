export default {
  // What test/support/build.mjs has made of the tests: those of the kernel, which run on a sample of resources; those of
  // whatever is registered; and those that stand beside a resource.
  roots: ['<rootDir>/dist/sample/test', '<rootDir>/dist/test/registered', '<rootDir>/dist/src'],
  testPathIgnorePatterns: ['/dist/sample/test/(registered|sharded)/'],
  testRunner: '<rootDir>/test/support/test-runner.mjs',
  transform: {},
  globalSetup: '<rootDir>/dist/test/support/global-setup.js',
  globalTeardown: '<rootDir>/dist/test/support/global-teardown.js',
  // Several files wait for processes and time limits most of the time.
  maxWorkers: 4,
  // A limit for what hangs. How long the migrations of a project take grows with their number.
  testTimeout: 120_000,
};

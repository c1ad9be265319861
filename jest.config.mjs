export default {
  // What test/support/build.mjs has made of the tests.
  roots: ['<rootDir>/dist/test'],
  testRunner: '<rootDir>/test/support/test-runner.mjs',
  transform: {},
  globalSetup: '<rootDir>/dist/test/support/global-setup.js',
  globalTeardown: '<rootDir>/dist/test/support/global-teardown.js',
  // Several files wait for processes and time limits most of the time.
  maxWorkers: 4,
  testTimeout: 30_000,
};

import type * as OpenTelemetry from '@opentelemetry/api';

/** The package @opentelemetry/api, which finds what the SDK of the operator has set up. */
export type Tracing = typeof OpenTelemetry;

/** Loads the package, which is no part of an installation. */
export async function loadTracing(): Promise<Tracing> {
  try {
    return await import('@opentelemetry/api');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(
      'TRACES needs @opentelemetry/api, which is not installed: npm install @opentelemetry/api, and see docs/operations.md.',
      { cause: error },
    );
  }
}

import type * as OpenTelemetry from '@opentelemetry/api';

/** The package @opentelemetry/api, which finds the SDK that the operator has set up. */
export type Tracing = typeof OpenTelemetry;

/** Loads the package, which is not installed by default. */
export async function loadTracing(): Promise<Tracing> {
  try {
    return await import('@opentelemetry/api');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(
      'TRACES needs @opentelemetry/api, which is not installed: run npm install @opentelemetry/api; see docs/operations.md.',
      { cause: error },
    );
  }
}

import type * as Api from '@opentelemetry/api';

/** `@opentelemetry/api`, if the application has it. */
export type OpenTelemetry = typeof Api;

/** @returns undefined if the application does not have it */
export async function loadOpenTelemetry(): Promise<OpenTelemetry | undefined> {
  try {
    // The name is a separate constant, so that bundlers and import scanners do not require the package.
    const name = '@opentelemetry/api';
    return (await import(name)) as OpenTelemetry;
  } catch {
    return undefined;
  }
}

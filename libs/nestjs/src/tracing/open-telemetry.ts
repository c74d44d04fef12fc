import type * as Api from '@opentelemetry/api';

/** `@opentelemetry/api`, where the application has it. */
export type OpenTelemetry = typeof Api;

/** @returns undefined where the application does not have it */
export async function loadOpenTelemetry(): Promise<OpenTelemetry | undefined> {
  try {
    // Its name stands apart, so that nothing that looks through imports asks for it.
    const name = '@opentelemetry/api';
    return (await import(name)) as OpenTelemetry;
  } catch {
    return undefined;
  }
}

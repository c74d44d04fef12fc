import { ConfigurationError } from '@waybill/kernel';

/** The error for a file that a command was given and that cannot be used. @param subject what it was for */
export function fileError(subject: string, path: string, error: unknown): ConfigurationError {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const why = code === 'ENOENT' ? 'there is no such file' : String(message ?? error);
  return new ConfigurationError(subject, [`${path}: ${why}`], { cause: error });
}

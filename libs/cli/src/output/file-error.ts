import { ConfigurationError } from '@waybill/kernel';

/** The error for a file argument that cannot be used. @param subject what the file was for */
export function fileError(subject: string, path: string, error: unknown): ConfigurationError {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const why = code === 'ENOENT' ? 'the file does not exist' : String(message ?? error);
  return new ConfigurationError(subject, [`${path}: ${why}`], { cause: error });
}

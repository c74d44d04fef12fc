import type { SqlSession } from '@waybill/kernel';
import type { CallToSign, SagaKeys } from './saga-keys.js';

/** Longest token that is parsed, in characters. */
const MOST_CHARS = 2_000;

/** The token that identifies a call to its endpoint: the call's name, and a MAC that only the saga's service can make. */
export async function callbackToken(keys: SagaKeys, session: SqlSession, call: CallToSign): Promise<string> {
  const { sagaId, step, op, round } = call;
  const named = Buffer.from(JSON.stringify([sagaId, step, op, round])).toString('base64url');
  return `${named}.${await keys.callback(session, call)}`;
}

/** Parses a token without verifying it. @returns undefined when it is malformed */
export function readCallbackToken(
  token: unknown,
): { readonly call: CallToSign; readonly mac: string } | undefined {
  if (typeof token !== 'string' || token.length > MOST_CHARS) return undefined;
  const [named = '', ...mac] = token.split('.');
  const [sagaId, step, op, round] = partsOf(named);
  if (typeof sagaId !== 'string' || typeof step !== 'string' || typeof op !== 'string') return undefined;
  if (!Number.isSafeInteger(round)) return undefined;
  return { call: { sagaId, step, op, round: round as number }, mac: mac.join('.') };
}

function partsOf(named: string): readonly unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(named, 'base64url').toString('utf8'));
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

import { createHash } from 'node:crypto';

/** Control characters, line breaks of Unicode, and marks that turn the direction of what follows. */
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;
/**
 * User and password in a URL, up to the last @: a password may hold one that is not escaped. The example that errors give is
 * none.
 */
const URL_USER = /\b([a-z][\w+.-]*:\/\/)(?!user:password@host(?::5432)?\/database\b)[^\s'"`<>]*@/gi;
const NAMED_SECRET =
  /\b(password|passwd|pwd|pgpassword|secret|token|api[-_]?key|authorization)(["']?\s*[:=]\s*)("[^"]*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s,;&}"']+)/gi;

/**
 * A text as one line: what somebody else has written into it begins no line of its own, and does not act on a terminal.
 */
export function oneLine(text: string): string {
  return text.replaceAll(BREAKS, ' ');
}

/** A text without passwords, as they stand in URLs and behind names such as `password=`. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(URL_USER, '$1***@').replaceAll(NAMED_SECRET, '$1$2***');
}

/**
 * A key as logs and errors name it: the beginning of its SHA-256. Keys are chosen by users, and may be a customer's number or
 * address, which no log is to hold.
 */
export function keyName(key: string): string {
  return `#${createHash('sha256').update(key).digest('hex').slice(0, 12)}`;
}

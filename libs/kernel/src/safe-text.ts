import { createHash } from 'node:crypto';

/** Control characters, Unicode line breaks, and marks that change the text direction. */
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;
/**
 * User and password in a URL, up to the last @: a password may contain an unescaped one. Placeholders in advice are
 * kept.
 */
const URL_USER = /\b([a-z][\w+.-]*:\/\/)(?!user:password@)[^\s'"`<>]*@/gi;
const NAMED_SECRET =
  /\b(password|passwd|pwd|pgpassword|secret|token|api[-_]?key|authorization)(["']?\s*[:=]\s*)("[^"]*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s,;&}"']+)/gi;

/**
 * A text as one line: untrusted parts of it cannot begin a new line or control a terminal.
 */
export function oneLine(text: string): string {
  return text.replaceAll(BREAKS, ' ');
}

/** A text with the passwords removed that are in URLs or follow names like `password=`. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(URL_USER, '$1***@').replaceAll(NAMED_SECRET, '$1$2***');
}

/**
 * A key as logs and errors name it: the first part of its SHA-256. Users choose keys: one may be a customer's number or
 * address, which must not appear in a log.
 */
export function keyName(key: string): string {
  return `#${createHash('sha256').update(key).digest('hex').slice(0, 12)}`;
}

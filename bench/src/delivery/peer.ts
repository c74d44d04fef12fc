import type pg from 'pg';

/** What a handler does: one insert a message, or nothing. */
export type Work = 'insert' | 'nothing';

/** Publishes a message as part of an open transaction. */
export type Publish = (client: pg.PoolClient, n: number) => Promise<unknown>;

/** A message was handled. */
export type Handled = (n: number) => void;

/** Ends what was started. */
export type Stop = () => Promise<unknown>;

/** One of the systems that are compared. */
export interface Peer {
  /** Creates what it needs in an empty database. */
  prepare(url: string): Promise<void>;
  /** Opens it in the process of the producers. */
  produce(url: string): Promise<{ readonly publish: Publish; readonly stop: Stop }>;
  /** Puts messages into its queue, as fast as that goes, before its consumer starts. */
  fill(url: string, messages: number): Promise<void>;
  /** Starts its consumer. */
  consume(url: string, work: Work, handled: Handled): Promise<Stop>;
}

/** The handler's table; it tells whether every message has had its effect once. */
export const EFFECTS = `create table effect (n bigint not null)`;
export const INSERT_EFFECT = 'insert into effect (n) values ($1)';
export const INSERT_EFFECTS = 'insert into effect (n) select unnest($1::bigint[])';

/** What a message carries: about 200 bytes. */
export function payloadOf(n: number): { readonly n: number; readonly text: string } {
  return { n, text: 'x'.repeat(180) };
}

export function keyOf(n: number): string {
  return `order-${n % 500}`;
}

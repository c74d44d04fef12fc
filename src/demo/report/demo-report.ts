import type { OrderFile } from '../orders/order-file.js';
import { isReturn, type Refusal, REFUSALS } from '../orders/order-line.js';
import type { Progress, Reconciliation } from './shop-books.js';

/** The results of a demo run. */
export interface DemoOutcome {
  readonly file: OrderFile;
  readonly progress: Progress;
  readonly books: Reconciliation;
  readonly kills: number;
  readonly seconds: number;
  /** How often the gateway has failed its callers. */
  readonly gatewayTroubles: number;
  /** Which service was killed, and when. */
  readonly killed: readonly string[];
}

/** The result as one JSON object: the demo's interface to other programs. */
export interface DemoResult {
  /** Invoices of the file: sales placed, returns handed in, and those with no line that could be ordered. */
  readonly invoices: number;
  /** Sales that the shop has taken. */
  readonly placed: number;
  readonly confirmed: number;
  readonly rejected: number;
  /** Refunded returns. */
  readonly refunded: number;
  /** Lines of the file that were neither sold nor returned. */
  readonly linesRefused: number;
  /** Of confirmed orders; excludes charges for orders that were rejected in the end, and paid back. */
  readonly chargedPence: number;
  readonly refundedPence: number;
  /** Records in the log. */
  readonly messages: number;
  /** Invoices, outcomes, effects and steps of sagas that are missing. */
  readonly lost: number;
  /** Effects, steps, outcomes, payments and movements of goods that are duplicated. */
  readonly duplicateEffects: number;
  /** Effects of one key that contradict the order of the log, and steps that contradict the order of their saga. */
  readonly outOfOrder: number;
  /** Services of the shop that were killed. */
  readonly kills: number;
  /** From the publishing transaction's insert to the handler's, by the database's clock. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From the first order until nothing is in progress. */
  readonly seconds: number;
}

export function demoResult({ file, progress, books, kills, seconds }: DemoOutcome): DemoResult {
  return {
    invoices: file.accepted.length + file.refusedInvoices.length,
    placed: progress.placed,
    confirmed: progress.confirmed,
    rejected: progress.rejected,
    refunded: progress.refunded,
    linesRefused: refusedLines(file),
    chargedPence: books.chargedPence,
    refundedPence: books.refundedPence,
    messages: books.messages,
    lost: books.missingInvoices + books.missingOutcomes + books.missingEffects + books.missingSteps,
    duplicateEffects:
      books.doubleEffects +
      books.strayEffects +
      books.doubleSteps +
      books.straySteps +
      books.doubleOutcomes +
      books.doublePayments +
      books.doubleMovements +
      Math.max(0, books.eventRecords - books.published),
    outOfOrder: books.outOfOrder + books.stepsOutOfOrder,
    kills,
    p50Ms: round(books.p50Ms, 1),
    p99Ms: round(books.p99Ms, 1),
    seconds: round(seconds, 1),
  };
}

/** Every discrepancy, in words; empty when the run is a success. */
export function disagreements(outcome: DemoOutcome): string[] {
  const { books } = outcome;
  const claims: [number, string][] = [
    [books.missingInvoices, 'invoices of the file are missing in the shop, or have a different total'],
    [books.missingOutcomes, 'orders or returns have no outcome'],
    [books.missingEffects, 'events have had no effect in a service that subscribes to them'],
    [books.missingSteps, 'steps of sagas are missing for the outcome of their order'],
    [books.openSagas, 'sagas or half messages have not ended'],
    [books.deadLetters, 'messages have become dead letters'],
    [books.doubleEffects, 'effects are duplicated'],
    [books.strayEffects, 'effects are of events that were never published'],
    [books.doubleSteps, 'steps of sagas have taken effect twice'],
    [books.straySteps, 'steps of sagas contradict the outcome of their order'],
    [
      Math.max(0, books.eventRecords - books.published),
      'records of the log are of events that were never published',
    ],
    [books.doubleOutcomes, 'orders have had more than one outcome'],
    [books.doublePayments, 'charges or refunds are duplicated'],
    [books.gatewayDisagrees, 'charges or refunds differ between the books of the gateway and the ledger'],
    [books.doubleMovements, 'movements of goods are duplicated'],
    [books.wrongShipments, 'orders have parcels that contradict their outcome'],
    [books.outOfOrder, 'effects contradict the order of their key'],
    [books.stepsOutOfOrder, 'steps contradict the order of their saga'],
    [books.wrongCharges, 'invoices have charges that contradict their outcome or total'],
    [books.wrongRefunds, 'invoices have refunds that contradict their outcome or total'],
    [books.wrongLevels, 'articles have a level other than start minus sold plus returned'],
  ];
  return claims.filter(([count]) => count > 0).map(([count, text]) => `${count} ${text}`);
}

/** The table for people. */
export function renderReport(outcome: DemoOutcome): string {
  const result = demoResult(outcome);
  const { file, books, progress } = outcome;
  const sales = file.accepted.filter(({ invoiceNo }) => !isReturn(invoiceNo)).length;
  const returns = file.accepted.length - sales;
  const wrong = disagreements(outcome);
  const rows: [string, string | number, string][] = [
    [
      'invoices',
      result.invoices,
      `${sales} sales + ${returns} returns + ${file.refusedInvoices.length} refused`,
    ],
    [
      'lines',
      file.lineCount,
      `${file.lineCount - result.linesRefused} ordered + ${result.linesRefused} refused`,
    ],
    ...[...file.refusedLines].map(([reason, count]): [string, number, string] => refusalRow(reason, count)),
    ['placed', result.placed, `${result.confirmed} confirmed + ${result.rejected} rejected`],
    ['  unpaid', books.unpaid, 'of the rejected: the bank transfer did not come in time'],
    ['returned', returns, `${result.refunded} refunded`],
    [
      'gateway',
      outcome.gatewayTroubles,
      `failures, queried and retried; ${books.parked} messages were parked`,
    ],
    ['redriven', books.redriven, 'dead letters, by waybill dlq redrive'],
    ['charged', pounds(result.chargedPence), 'each confirmed order once, of its exact amount'],
    ['  undone', pounds(books.undonePence), 'charged and paid back for orders that were rejected in the end'],
    ['refunded', pounds(result.refundedPence), 'each return once, of its exact amount'],
    ['pieces', books.sold - books.returned, `${books.sold} sold - ${books.returned} returned`],
    ['articles', books.articles, 'level = start - sold + returned'],
    ['messages', result.messages, `${books.published} events, the rest between sagas and services`],
    ['lost', result.lost, `lag ${progress.lag}, dead letters ${books.deadLetters}`],
    ['duplicate effects', result.duplicateEffects, ''],
    ['out of order', result.outOfOrder, ''],
    ['kills', result.kills, outcome.killed.join('; ')],
    ['latency', `${result.p50Ms} ms`, `p50; p99 ${result.p99Ms} ms, of events, from commit to effect`],
    ['time', `${result.seconds} s`, 'from the first order to the last effect'],
  ];
  const width = Math.max(...rows.map(([, value]) => String(value).length));
  const lines = rows.map(
    ([name, value, remark]) => `${name.padEnd(18)} ${String(value).padStart(width)}  ${remark}`,
  );
  const verdict =
    wrong.length === 0
      ? 'Everything agrees.'
      : `The books do not agree:\n${wrong.map((w) => `  - ${w}`).join('\n')}`;
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n\n${verdict}`;
}

function refusalRow(reason: Refusal, count: number): [string, number, string] {
  return ['  refused', count, REFUSALS[reason]];
}

function refusedLines(file: OrderFile): number {
  return [...file.refusedLines.values()].reduce((sum, count) => sum + count, 0);
}

function pounds(pence: number): string {
  return `£${(pence / 100).toFixed(2)}`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

import type { Headers } from '@waybill/consumer';
import type { BarrierCall, BarrierOp } from '@waybill/guard';
import { BarrierNameError, isId } from '@waybill/kernel';
import {
  SAGA_BEGUN_HEADER,
  SAGA_BRANCH_HEADER,
  SAGA_ID_HEADER,
  SAGA_OP_HEADER,
  SAGA_ORIGIN_HEADER,
  SAGA_RELEASE_OP,
} from '../message/saga-headers.js';

const OPS: ReadonlySet<string> = new Set<BarrierOp>(['action', 'compensate', 'try', 'confirm', 'cancel']);
const BEGUN = /^\d{1,14}$/;
const ORIGIN = /^(\d{1,14}),(done|unknown)$/;

/**
 * The barrier's name of a command; undefined for a message that is not a saga command.
 * @throws BarrierNameError when its times cannot be parsed
 */
export function callOf(control: Headers): BarrierCall | undefined {
  const gid = control[SAGA_ID_HEADER];
  const branch = control[SAGA_BRANCH_HEADER];
  const op = control[SAGA_OP_HEADER];
  if (gid === undefined || branch === undefined || op === undefined || !OPS.has(op)) return undefined;
  const name = { gid, branch, op: op as BarrierOp };
  return { ...name, ...begunOf(control, name), ...originOf(control, name) };
}

/** Whether a message tells a participant that a saga has ended, so that what is held for it can be released. */
export function isRelease(control: Headers): boolean {
  return control[SAGA_OP_HEADER] === SAGA_RELEASE_OP && isId(control[SAGA_ID_HEADER] ?? '');
}

function begunOf(control: Headers, name: BarrierCall): { begunMs?: number } {
  const text = control[SAGA_BEGUN_HEADER];
  if (text === undefined) return {};
  if (!BEGUN.test(text)) throw unreadable(SAGA_BEGUN_HEADER, text, name);
  return { begunMs: Number(text) };
}

function originOf(control: Headers, name: BarrierCall): Pick<BarrierCall, 'origin'> {
  const text = control[SAGA_ORIGIN_HEADER];
  if (text === undefined) return {};
  const [, begun, state] = ORIGIN.exec(text) ?? [];
  if (begun === undefined) throw unreadable(SAGA_ORIGIN_HEADER, text, name);
  return { origin: { begunMs: Number(begun), isDone: state === 'done' } };
}

function unreadable(header: string, text: string, { gid, branch, op }: BarrierCall): BarrierNameError {
  return new BarrierNameError(
    `The header ${header} of ${op} of ${gid}/${branch} cannot be read (${JSON.stringify(text.slice(0, 100))}): only Waybill ` +
      'writes it; its version may differ from this one.',
  );
}

// Started with `--import`: the clock of the application is off, as on a machine whose time was set wrong. The monotonic clock
// and the history are not.
const skewMs = Number(process.env['WAYBILL_CHAOS_SKEW_MS']);
const now = Date.now.bind(Date);
class SkewedDate extends Date {
  constructor(...given: [] | [number | string | Date]) {
    super(...((given.length === 0 ? [now() + skewMs] : given) as [number]));
  }

  static override now(): number {
    return now() + skewMs;
  }
}
globalThis.Date = SkewedDate as DateConstructor;

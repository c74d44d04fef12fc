import { type Given, oneOf, type OptionSpec, resolveOptions } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';

/** The baggage that messages carry: all of it, none, or the named members. */
export type BaggageRule = boolean | readonly string[];

const BAGGAGE: OptionSpec<BaggageRule> = {
  default: true,
  check: (value) => {
    const isList = Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '');
    return isList || flag(true).check(value) === undefined
      ? undefined
      : `must be true, false or an array of names, got ${JSON.stringify(value)}`;
  },
};

const SPECS = {
  /**
   * How the span of a handler relates to the one that published its message. `link`: it starts its own trace and links
   * to that span, however old it is. `parent`: it is its child.
   */
  process: oneOf(['link', 'parent'], 'link'),
  /** Members of W3C baggage that messages carry, up to 8 KiB. True: all; false: none; an array: these. */
  baggage: BAGGAGE,
};

/** Options of traces. */
export type TracingOptions = Given<typeof SPECS>;

/** Options of traces, resolved. */
export type ResolvedTracing = ReturnType<typeof resolveTracing>;

/** @throws ConfigurationError */
export function resolveTracing(options: TracingOptions | undefined) {
  return resolveOptions('tracing', SPECS, options);
}

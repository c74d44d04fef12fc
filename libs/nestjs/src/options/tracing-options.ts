import { type Given, oneOf, type OptionSpec, resolveOptions } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';

/** Whether baggage goes along with messages: all of it, none, or the named members. */
export type BaggageRule = boolean | readonly string[];

const BAGGAGE: OptionSpec<BaggageRule> = {
  default: true,
  check: (value) => {
    const isList = Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '');
    return isList || flag(true).check(value) === undefined
      ? undefined
      : `must be true, false or a list of names, got ${JSON.stringify(value)}`;
  },
};

const SPECS = {
  /**
   * What the span of a handler has to do with the one that published its message. `link`: it begins a trace of its own
   * and links to it, however long ago that was. `parent`: it is its child.
   */
  process: oneOf(['link', 'parent'], 'link'),
  /** Members of W3C baggage that messages carry, 8 KiB at most. True: all; false: none; a list: these. */
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

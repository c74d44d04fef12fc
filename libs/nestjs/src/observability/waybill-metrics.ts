import { describeError } from '@waybill/kernel';
import { DEFAULT_NAME } from '../options/instance-name.js';
import type { Waybill } from '../instance/waybill.js';
import { databaseMetrics } from './database-metrics.js';
import { EXPOSITION_TYPE, expositionText, type Metric, single } from '../metrics/exposition.js';
import { processMetrics } from './process-metrics.js';

/** What a scrape shows. */
export interface MetricsOptions {
  /** Whether the lag of each partition is a separate series. Default false: one series for each group and topic. */
  readonly perPartition?: boolean;
  /** Other instances of the application to include. */
  readonly others?: readonly WaybillMetrics[];
}

/**
 * The metrics of an instance for Prometheus: those of this process, and those of its databases, which are read at every
 * scrape. The series of a named instance carry its name in the label `waybill`.
 */
export class WaybillMetrics {
  /** Media type of {@link text}, for the header `content-type`. */
  readonly contentType = EXPOSITION_TYPE;

  constructor(private readonly waybill: Waybill) {}

  /**
   * All metrics in Prometheus' text format 0.0.4. It does not fail when a database cannot be read: then `waybill_up` is
   * 0 and the metrics of databases are missing.
   */
  async text({ perPartition = false, others = [] }: MetricsOptions = {}): Promise<string> {
    const read = await Promise.all([this, ...others].map((metrics) => metrics.#read(perPartition)));
    return expositionText(read.flat());
  }

  async #read(perPartition: boolean): Promise<Metric[]> {
    const { name, logger } = this.waybill;
    let ofDatabases: Metric[] = [];
    let isUp = true;
    try {
      ofDatabases = await databaseMetrics(this.waybill, perPartition);
    } catch (error) {
      isUp = false;
      logger.warn(`could not read the metrics of the databases: ${describeError(error)}`);
    }
    const up = single('waybill_up', 'gauge', 'Whether the databases could be read for this scrape.', isUp);
    const metrics = [up, ...processMetrics(this.waybill), ...ofDatabases];
    return name === DEFAULT_NAME ? metrics : metrics.map((metric) => named(metric, name));
  }
}

function named(metric: Metric, waybill: string): Metric {
  const samples = metric.samples.map((sample) => ({ ...sample, labels: { waybill, ...sample.labels } }));
  return { ...metric, samples };
}

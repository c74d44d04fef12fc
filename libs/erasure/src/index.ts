export { Erasure, type ErasureLog, type ErasureOptions, type ErasureTarget } from './erasure.js';
export type { ErasedPart, ErasureReport, Remainder } from './erasure-report.js';

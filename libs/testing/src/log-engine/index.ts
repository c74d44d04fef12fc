export { type LogEngineCase, logEngineCases } from './log-engine-cases.js';
export type { LogUnderTest, OpenEngine } from './log-under-test.js';

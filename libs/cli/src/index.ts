export { createProgram } from './program.js';
export type { Output } from './output/output.js';

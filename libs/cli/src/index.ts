export { createProgram } from './create-program.js';
export type { Output } from './output/output.js';

export { createProgram } from './program.js';
export { type Output } from './arguments/target.js';

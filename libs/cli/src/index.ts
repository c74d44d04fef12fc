export { createProgram } from './program.js';
export { type Output } from './target.js';
